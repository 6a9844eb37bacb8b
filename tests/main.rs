//! The one integration binary: each file beside this one is a part of it.
mod ci_example;
mod cli;
mod eta;
mod floors;
mod lab_by_hand;
mod lab_host;
mod lab_plan;
mod lab_restart;
mod lab_trouble;
mod machine_output;
mod rehearse;
mod saved_plans;
mod schema;
mod support;
mod whole_run;
