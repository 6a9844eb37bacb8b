//! Which process of this host a server is, and what may be read in its name.
//!
//! A server says its own process id, and whatever it names is read with the rights of that process's user, never with more. Who
//! lies about it gains what another *user* could read; one that claims to be a process of root would gain everything. So that is
//! believed only of the process that listens at the address, or that the kernel names at the other end of a Unix socket.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use super::at::RedisAddr;
use super::seen::RedisFacts;
use crate::host::safe_file::{Reader, Trust, read_text};

/// A row has 150 bytes; a busy host has some ten thousand.
const TABLE_MAX: u64 = 64 << 20;
const DESCRIPTORS_MAX: usize = 100_000;
/// The state of a socket that listens (include/net/tcp_states.h).
const LISTEN: &str = "0A";

/// As whom the server runs. The paths a server names are only ours to read if the server is ours: a remote one, or one in a
/// container, names places where this host may keep something else entirely. `peer` is the kernel's word about a Unix socket.
pub(super) fn server_of(facts: &RedisFacts, addr: &RedisAddr, peer: Option<u32>) -> Result<Reader, String> {
    if !addr.is_local() {
        return Err("the server is not on this host".to_owned());
    }
    let pid = facts.server.process_id.ok_or("INFO names no process")?;
    if !Path::new("/proc").join(pid.to_string()).exists() {
        return Err(format!(
            "process {pid} is not on this host: a tunnel leads to another host, or it runs in a container"
        ));
    }
    let server = Reader::of(pid).ok_or_else(|| format!("the user of process {pid} cannot be told"))?;
    // Without root, nothing is read that the caller could not read as well.
    if server.uid == 0 && rustix::process::geteuid().is_root() && peer != Some(pid) && !listens(pid, addr) {
        return Err(format!(
            "process {pid} is root's and does not listen there: a tunnel or a proxy leads to it, or the server lies about itself; name the address of the server itself"
        ));
    }
    Ok(server)
}

/// Whether this process listens at the address (proc(5), `/proc/PID/net/tcp`).
fn listens(pid: u32, addr: &RedisAddr) -> bool {
    let (RedisAddr::Tcp(host, port) | RedisAddr::Tls(host, port)) = addr else { return false };
    let wanted = |ip: IpAddr| match host.parse::<IpAddr>() {
        Ok(named) => ip.is_unspecified() || ip.to_canonical() == named.to_canonical(),
        Err(_) => ip.is_unspecified() || ip.to_canonical().is_loopback(),
    };
    let tables = ["tcp", "tcp6"].map(|table| {
        let path = format!("/proc/{pid}/net/{table}");
        read_text(Path::new(&path), Trust::Ours, TABLE_MAX).unwrap_or_default()
    });
    let rows = tables.iter().flat_map(|text| text.lines()).filter_map(row);
    let sockets: Vec<String> =
        rows.filter(|(ip, at, _)| at == port && wanted(*ip)).map(|(.., inode)| format!("socket:[{inode}]")).collect();
    let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten().take(DESCRIPTORS_MAX);
    let mut targets = fds.filter_map(|fd| std::fs::read_link(fd.path()).ok());
    !sockets.is_empty() && targets.any(|target| sockets.iter().any(|socket| target == Path::new(socket)))
}

/// Address, port and inode of a row of a socket that listens.
fn row(line: &str) -> Option<(IpAddr, u16, &str)> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (local, _, state) = (words.next()?, words.next()?, words.next()?);
    let (ip, port) = local.split_once(':')?;
    let inode = words.nth(5).filter(|_| state == LISTEN)?;
    Some((address(ip)?, u16::from_str_radix(port, 16).ok()?, inode))
}

/// Words of 32 bits in the order of this machine, each in hexadecimal.
fn address(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let bytes: Vec<u8> = [word(0)?, word(8)?, word(16)?, word(24)?].concat();
            Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::redis::testbed::recorded;

    #[test]
    fn rows_of_the_kernel() {
        let v4 =
            "   0: 0100007F:18EB 00000000:0000 0A 00000000:00000000 00:00000000 00000000   112        0 26371 1 0 100";
        assert_eq!(row(v4), Some((Ipv4Addr::LOCALHOST.into(), 6379, "26371")));
        let v6 = "   1: 00000000000000000000000001000000:18EB 0:0 0A 0:0 00:0 0   112        0 7 1";
        assert_eq!(row(v6), Some((Ipv6Addr::LOCALHOST.into(), 6379, "7")));
        assert_eq!(row(&v4.replace(" 0A ", " 01 ")), None);
        assert_eq!(row("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when"), None);
    }

    #[test]
    fn a_process_of_root_is_believed_only_where_it_listens() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let me = std::process::id();
        for (host, port, true_word) in
            [("127.0.0.1", port, true), ("localhost", port, true), ("::1", port, false), ("127.0.0.1", 1, false)]
        {
            assert_eq!(listens(me, &RedisAddr::Tcp(host.into(), port)), true_word, "{host} {port}");
        }
        let mut facts = recorded("idle");
        let at = RedisAddr::Tcp("127.0.0.1".into(), port);
        facts.server.process_id = Some(me);
        assert!(server_of(&facts, &at, None).is_ok());
        facts.server.process_id = Some(1);
        let lie = server_of(&facts, &at, None);
        if rustix::process::geteuid().is_root() {
            assert!(lie.unwrap_err().contains("process 1 is root's and does not listen there"));
            let socket = RedisAddr::Unix("/run/x".into());
            assert!(server_of(&facts, &socket, Some(me)).is_err());
            assert!(server_of(&facts, &socket, Some(1)).is_ok());
        }
        facts.server.process_id = Some(u32::MAX);
        assert!(server_of(&facts, &at, None).unwrap_err().contains("is not on this host"));
        let far = RedisAddr::Tcp("10.0.0.1".into(), port);
        assert_eq!(server_of(&facts, &far, None).unwrap_err(), "the server is not on this host");
    }
}
