//! Real PM2 for tests: a daemon in a home of its own under /tmp, which ends with the test.
