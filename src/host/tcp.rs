//! Does anybody listen there? A TCP connection that is opened and closed, nothing more.

use std::io::ErrorKind;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::host::clock;
use crate::host::foreign::{Shown, tame};

/// What came of one attempt to connect. Only `Open` says that somebody listens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TcpSeen {
    /// The connection was accepted by the kernel of the other side.
    Open {
        /// Name lookup and handshake together.
        took: Duration,
    },
    /// The host answers, the port does not.
    Refused,
    /// No answer within the deadline: a filter, a dead host, or a full accept queue.
    Silent {
        /// The deadline that passed.
        waited: Duration,
    },
    /// The name or the route is missing.
    Unreachable {
        /// The system's words.
        why: Shown,
    },
}

/// Connects to `address` (`host:port`) and hangs up.
pub async fn connect(address: &str, deadline: Duration) -> TcpSeen {
    let begun = clock::boottime();
    match timeout(deadline, TcpStream::connect(address)).await {
        Err(_) => TcpSeen::Silent { waited: deadline },
        Ok(Ok(_)) => TcpSeen::Open { took: clock::boottime().saturating_sub(begun) },
        Ok(Err(failed)) if failed.kind() == ErrorKind::ConnectionRefused => TcpSeen::Refused,
        Ok(Err(failed)) if failed.kind() == ErrorKind::TimedOut => TcpSeen::Silent { waited: deadline },
        Ok(Err(failed)) => TcpSeen::Unreachable { why: tame(&failed.to_string(), 200) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn open_refused_and_senseless_differ() {
        let door = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = door.local_addr().unwrap().to_string();
        let second = Duration::from_secs(5);
        assert!(matches!(connect(&address, second).await, TcpSeen::Open { took } if took < second));
        drop(door);
        assert_eq!(connect(&address, second).await, TcpSeen::Refused);
        assert!(matches!(connect("not an address", second).await, TcpSeen::Unreachable { .. }));
    }
}
