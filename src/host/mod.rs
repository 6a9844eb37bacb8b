//! Floor 1: the machine and its neighbours.
pub mod foreign;
pub mod pm2;
