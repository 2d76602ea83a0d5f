//! Seeded worlds of streams in virtual time, for tests: the same ten thousand in each run of the tests,
//! random ones in `make soak-worlds`, and the one of `GIGASTT_SEED` alone, with its script printed.

mod oracle;
mod promises;
mod script;
mod tests;
mod world;
