//! systemd and logind over the system bus: reading units, starting and stopping them, restarting the machine.
//!
//! Everything is a D-Bus property or method (org.freedesktop.systemd1(5), org.freedesktop.login1(5)), never the text
//! of a command, which changes with locale, width and version. Reading never lets the bus start a service. Every call
//! has a deadline, and an error says whether it proves that nothing happened.

pub mod boot;
pub mod bus;
pub mod jobs;
pub mod logind;
mod properties;
mod proxies;
pub mod resume_unit;
pub mod transient;
pub mod unit;
pub mod unit_files;
pub mod unit_name;

pub use logind::Inhibitor;
pub use unit::UnitSeen;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod real;
#[cfg(test)]
mod tests;
