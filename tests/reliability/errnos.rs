//! soon
pub(crate) fn inject(_: &crate::rig::Rig, _: &[crate::points::Point], _: &[String], _: &mut crate::worker::Report) {}
