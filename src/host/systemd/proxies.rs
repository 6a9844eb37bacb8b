//! The D-Bus interfaces as far as this house uses them. Reading methods carry the no-auto-start flag.

use std::collections::HashMap;

use zbus::{ObjectPath, OwnedObjectPath, OwnedVariant, Variant, proxy};

/// One change of a symlink: kind, link, target.
pub(super) type Change = (String, String, String);
/// what, who, why, mode, uid, pid.
pub(super) type InhibitorRow = (String, String, String, String, u32, u32);
/// A property of a unit that is made up on the spot.
pub(super) type Setting<'a> = (&'a str, Variant<'a>);

#[proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
pub(super) trait Systemd {
    #[zbus(no_autostart)]
    fn load_unit(&self, name: &str) -> zbus::Result<OwnedObjectPath>;
    #[zbus(no_autostart)]
    fn get_unit(&self, name: &str) -> zbus::Result<OwnedObjectPath>;
    #[zbus(no_autostart)]
    fn get_unit_file_state(&self, file: &str) -> zbus::Result<String>;
    #[zbus(no_autostart)]
    fn subscribe(&self) -> zbus::Result<()>;
    fn start_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn stop_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn reset_failed_unit(&self, name: &str) -> zbus::Result<()>;
    fn reload(&self) -> zbus::Result<()>;
    fn enable_unit_files(&self, files: &[&str], runtime: bool, force: bool) -> zbus::Result<(bool, Vec<Change>)>;
    fn disable_unit_files(&self, files: &[&str], runtime: bool) -> zbus::Result<Vec<Change>>;
    fn start_transient_unit(
        &self,
        name: &str,
        mode: &str,
        settings: &[Setting<'_>],
        others: &[(&str, Vec<Setting<'_>>)],
    ) -> zbus::Result<OwnedObjectPath>;
    #[zbus(signal)]
    fn job_removed(&self, id: u32, job: ObjectPath<'_>, unit: &str, result: &str) -> zbus::Result<()>;
}

#[proxy(
    interface = "org.freedesktop.DBus.Properties",
    default_service = "org.freedesktop.systemd1",
    assume_defaults = true
)]
pub(super) trait Properties {
    #[zbus(no_autostart)]
    fn get_all(&self, interface: &str) -> zbus::Result<HashMap<String, OwnedVariant>>;
}

#[proxy(
    interface = "org.freedesktop.login1.Manager",
    default_service = "org.freedesktop.login1",
    default_path = "/org/freedesktop/login1"
)]
pub(super) trait Login {
    #[zbus(no_autostart)]
    fn list_inhibitors(&self) -> zbus::Result<Vec<InhibitorRow>>;
    #[zbus(no_autostart)]
    fn can_reboot(&self) -> zbus::Result<String>;
    #[zbus(no_autostart)]
    fn can_power_off(&self) -> zbus::Result<String>;
    fn reboot(&self, interactive: bool) -> zbus::Result<()>;
    fn power_off(&self, interactive: bool) -> zbus::Result<()>;
}
