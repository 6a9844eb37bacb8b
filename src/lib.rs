//! The map of the house. See the floors below: a module imports only what is declared above it.
pub mod host;

pub mod action;

pub mod runbook;

pub mod plan;

pub mod journal;

pub mod event;

pub mod execute;

pub mod report;

pub mod cli;
