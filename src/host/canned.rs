//! A web server made of bytes: the HTTP reader is fuzzed without a socket. The reader is the real one, with its real limits.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ureq::Agent;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport};

use super::http::{HttpError, HttpSeen, blocking_get, config};

/// What the reader makes of `reply`, byte for byte what a server would have sent before it hung up.
pub(crate) fn answer(reply: &[u8]) -> Result<HttpSeen, HttpError> {
    let agent = Agent::with_parts(config(DEADLINE, None), Canned(Arc::from(reply)), Nowhere);
    blocking_get(&agent, "http://canned.test/health", &[], DEADLINE, "http://canned.test/health")
}

/// Nothing here waits, so it is never reached.
const DEADLINE: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Canned(Arc<[u8]>);

impl Connector for Canned {
    type Out = Tin;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Tin>, ureq::Error> {
        let config = details.config;
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        Ok(Some(Tin { buffers, left: Arc::clone(&self.0), at: 0 }))
    }
}

/// An open connection to it.
#[derive(Debug)]
struct Tin {
    buffers: LazyBuffers,
    left: Arc<[u8]>,
    at: usize,
}

impl Transport for Tin {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, _: usize, _: NextTimeout) -> Result<(), ureq::Error> {
        Ok(())
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, ureq::Error> {
        let room = self.buffers.input_append_buf();
        let left = self.left.get(self.at..).unwrap_or_default();
        let count = room.len().min(left.len());
        if let (Some(room), Some(left)) = (room.get_mut(..count), left.get(..count)) {
            room.copy_from_slice(left);
        }
        self.buffers.input_appended(count);
        self.at += count;
        Ok(count > 0)
    }

    fn is_open(&mut self) -> bool {
        self.at < self.left.len()
    }
}

#[derive(Debug)]
struct Nowhere;

impl Resolver for Nowhere {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut found = self.empty();
        found.push(SocketAddr::from((Ipv4Addr::LOCALHOST, 80)));
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canned_answer_is_read_as_one_from_a_socket() {
        let seen = answer(b"HTTP/1.1 503 Busy\r\nRetry-After: 5\r\nContent-Length: 4\r\n\r\nok!\xff")
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((seen.status, seen.body.raw(), seen.cut), (503, "ok!\u{fffd}", false));
        for cut in
            [&b""[..], b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", b"SSH-2.0-x\r\n"]
        {
            assert!(answer(cut).is_err(), "{cut:?}");
        }
    }
}
