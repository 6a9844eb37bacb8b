//! Tests that are too long to stand beside their code, and those against a real, private redis-server: what tables cannot
//! know. The latter are skipped, with a word, where there is no such program.

mod doors;
mod loading;
mod preflight;
mod ready;
mod recordings;
mod rewrite;
mod rewriting;
mod sockets;
mod strangers;
mod tls;
