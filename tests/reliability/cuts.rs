//! soon
pub(crate) fn cut(_: &crate::rig::Rig, _: &[crate::points::Point], _: bool, _: &mut crate::worker::Report) {}
