//! The one integration binary: each file beside this one is a part of it.
mod lab_host;
mod support;
