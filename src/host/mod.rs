//! Floor 1: the machine and its neighbours.
pub mod clock;
pub mod command;
pub mod disk;
pub mod foreign;
pub mod http;
pub mod json_path;
pub mod machine;
pub mod notice;
pub mod passwd;
pub mod small_file;
pub mod systemd;
pub mod tcp;
mod placeholder {}
