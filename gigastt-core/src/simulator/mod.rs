//! Seeded worlds of streams in virtual time, for tests.

mod oracle;
mod promises;
mod script;
mod tests;
mod world;
