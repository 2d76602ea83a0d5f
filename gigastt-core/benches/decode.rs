//! Cost of greedy decoding around the networks' calls, on one core:
//! `cargo bench -p gigastt-core --features fake-model --bench decode`.
//!
//! A minute of speech has 1,500 encoder frames. What the calls take besides is in `gigastt bench file`. The arguments
//! are sizes of vocabularies: of the models without and with punctuation.

use divan::{Bencher, black_box};
use gigastt_core::fake::Said;

const MINUTE: usize = 1_500;

fn main() {
    divan::main();
}

#[divan::bench(args = [34, 1_025])]
fn rnnt_of_a_minute(bencher: Bencher<'_, '_>, classes: usize) {
    let mut said = Said::new(MINUTE, classes);
    assert_eq!(said.rnnt().ok(), Some(MINUTE / 4), "an error would be quick");
    bencher.bench_local(|| black_box(&mut said).rnnt());
}

#[divan::bench(args = [34, 257])]
fn ctc_of_a_minute(bencher: Bencher<'_, '_>, classes: usize) {
    let said = Said::new(MINUTE, classes);
    assert_eq!(said.ctc().ok(), Some(MINUTE / 4), "an error would be quick");
    bencher.bench_local(|| black_box(&said).ctc());
}
