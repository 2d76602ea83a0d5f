//! What runs for every 20 ms of every stream allocates nothing.

use gigastt_core::audio::mel::LogMel;
use gigastt_core::audio::pcm::{PcmDecoder, SampleFormat};
use gigastt_core::audio::resample::Resampler;
use gigastt_core::audio::{Channels, Format};

#[test]
fn resampling_allocates_once() {
    for sample_rate in [8_000, 11_025, 16_000, 44_100, 48_000, 192_000] {
        for channels in [1, 2] {
            let mut resampler = None;
            let made = allocation_counter::measure(|| {
                resampler = Resampler::new(Format { sample_rate, channels }, Channels::Mix).ok();
            });
            assert!(made.bytes_current < 110_000, "{sample_rate} Hz holds {} bytes", made.bytes_current);

            let mut resampler = resampler.unwrap();
            let input = vec![0.5; sample_rate as usize / 50 * usize::from(channels)];
            let mut out = Vec::with_capacity(200 * 320);
            let later = allocation_counter::measure(|| {
                for _ in 0..100 {
                    resampler.push(&input, &mut out).unwrap();
                }
                resampler.finish(&mut out).unwrap();
                resampler.push(&input, &mut out).unwrap();
            });
            assert_eq!(later.count_total, 0, "{sample_rate} Hz, {channels} channel(s)");
        }
    }
}

#[test]
fn decoding_bytes_allocates_nothing() {
    for format in SampleFormat::ALL {
        let (mut decoder, mut out) = (PcmDecoder::new(format), Vec::with_capacity(16_000));
        let bytes = [0; 641];
        let later = allocation_counter::measure(|| {
            for _ in 0..20 {
                decoder.push(&bytes, &mut out);
            }
        });
        assert_eq!(later.count_total, 0, "{format:?}");
    }
}

#[test]
fn mel_frames_allocate_once() {
    let (mut mel, mut out) = (LogMel::new(), Vec::with_capacity(200 * 64));
    let made = allocation_counter::measure(|| mel = LogMel::new());
    assert!(made.bytes_total < 3_000, "{} bytes", made.bytes_total);
    let later = allocation_counter::measure(|| {
        for _ in 0..100 {
            mel.push(&[0.5; 320], &mut out);
        }
        mel.reset();
    });
    assert_eq!(later.count_total, 0);
}
