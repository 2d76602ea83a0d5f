//! Recordings in every container against the samples they were made from, and broken ones.
//!
//! The files are described in `data/audio/README.md`.
#![cfg(feature = "files")]
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use gigastt_core::audio::file::FileSource;
use gigastt_core::audio::resample::Resampler;
use gigastt_core::audio::{Channels, Format, Source};
use gigastt_core::{Error, ErrorKind, Result};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/audio").join(name)
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap()
}

/// The recording that everything was made from: 30,893 samples at 16 kHz.
fn original() -> Vec<f32> {
    let wav = std::fs::read(path("../../../../tests/samples/sample_00.wav")).unwrap();
    wav[44..].chunks(2).map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32_768.0).collect()
}

/// Everything a source gives, and the error that ended it.
fn drain(source: Result<FileSource>) -> (Vec<f32>, Option<Error>) {
    let mut source = match source {
        Ok(source) => source,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let (mut all, mut piece) = (Vec::new(), Vec::new());
    loop {
        match source.read(&mut piece) {
            Err(error) => return (all, Some(error)),
            Ok(()) if piece.is_empty() => return (all, None),
            Ok(()) => {
                assert_eq!(piece.len() % usize::from(source.format().channels), 0);
                all.append(&mut piece);
            }
        }
    }
}

fn decode(source: FileSource) -> Vec<f32> {
    let (samples, error) = drain(Ok(source));
    assert_eq!(error.map(|error| error.to_string()), None);
    samples
}

fn piped(bytes: Vec<u8>) -> Result<FileSource> {
    FileSource::from_reader("pipe", Box::new(std::io::Cursor::new(bytes)))
}

/// The file decodes to the same samples by its path, from memory and from a pipe.
#[track_caller]
fn whole(name: &str) -> (Format, Option<f64>, Vec<f32>) {
    let source = FileSource::open(&path(name)).unwrap();
    let (format, duration) = (source.format(), source.duration_hint());
    let samples = decode(source);
    assert!(decode(FileSource::from_bytes(name, bytes(name)).unwrap()) == samples, "{name} from memory");
    let (cursor, size) = (std::io::Cursor::new(bytes(name)), bytes(name).len() as u64);
    assert!(
        decode(FileSource::from_seekable(name, cursor, size).unwrap()) == samples,
        "{name} from an open file"
    );
    match piped(bytes(name)) {
        Ok(source) => assert!(decode(source) == samples, "{name} from a pipe"),
        Err(error) => {
            assert!(
                ["aac.m4a", "alac.m4a", "stereo.m4a"].contains(&name)
                    || [".webm", ".caf"].iter().any(|end| name.ends_with(end)),
                "{error}"
            );
            assert!(error.message().contains("cannot seek"), "{error}");
        }
    }
    (format, duration, samples)
}

#[test]
fn lossless_files_give_the_samples() {
    let original = original();
    let check = |name: &str, tolerance: f32, length: usize| {
        let (format, duration, samples) = whole(name);
        assert_eq!(format, Format { sample_rate: 16_000, channels: 1 }, "{name}");
        assert_eq!(duration, Some(length as f64 / 16_000.0), "{name}");
        assert_eq!(samples.len(), length, "{name}");
        let worst = samples.iter().zip(&original).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst <= tolerance, "{name} is off by {worst}");
    };
    for exact in [
        "s24.wav", "s32.wav", "f32.wav", "rf64.wav", "s16.aiff", "s16.flac", "flac.ogg", "alac.m4a",
        "s16.caf",
    ] {
        check(exact, 0.0, 8_000);
    }
    // Its writer counts the last packet as a whole one.
    let (_, duration, samples) = whole("alac.caf");
    assert_eq!((duration, samples.as_slice()), (Some(8_192.0 / 16_000.0), &original[..8_000]));
    check("f64.wav", 0.0, 4_000);
    check("u8.wav", 1.0 / 128.0, 8_000);
    // Half of the widest step of a segment that the recording reaches.
    check("alaw.wav", 0.016, 8_000);
    check("mulaw.wav", 0.016, 8_000);
    check("../../../../tests/samples/sample_00.wav", 0.0, 30_893);
}

#[test]
fn a_wav_from_a_pipe_has_no_length_until_it_is_read() {
    let source = piped(bytes("piped.wav")).unwrap();
    assert_eq!(source.duration_hint(), None);
    assert_eq!(decode(source), original()[..8_000]);
    let source = FileSource::open(&path("piped.wav")).unwrap();
    assert_eq!(source.duration_hint(), Some(0.5));
    assert_eq!(decode(source), original()[..8_000]);
}

/// One channel at 16 kHz.
fn mono(format: Format, channels: Channels, samples: &[f32]) -> Vec<f32> {
    let (mut resampler, mut out) = (Resampler::new(format, channels).unwrap(), Vec::new());
    resampler.push(samples, &mut out).unwrap();
    resampler.finish(&mut out).unwrap();
    out
}

/// The correlation of `a` with `b` moved by `lag` samples to the right.
fn correlation(a: &[f32], b: &[f32], lag: isize) -> f64 {
    let (a, b) = if lag >= 0 { (&a[lag as usize..], b) } else { (a, &b[lag.unsigned_abs()..]) };
    let sum = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum::<f64>();
    let len = a.len().min(b.len());
    sum(a, b) / (sum(&a[..len], &a[..len]) * sum(&b[..len], &b[..len])).sqrt()
}

/// `got` is `expected` but for the codec: it sounds the same, at the same time.
#[track_caller]
fn check_alike(name: &str, got: &[f32], expected: &[f32], tolerance: usize) {
    // Below 30 kb/s SILK shapes the voice more than it copies it.
    let least = if ["silk.opus", "hybrid.opus"].contains(&name) { 0.92 } else { 0.95 };
    let best =
        (-400..=400).max_by(|&a, &b| correlation(got, expected, a).total_cmp(&correlation(got, expected, b)));
    let score = correlation(got, expected, 0);
    assert!(score > least, "{name}: correlation {score:.3}, best at {best:?}");
    assert!(best.unwrap().abs() <= 1, "{name} is {best:?} samples late");
    assert!(got.len().abs_diff(expected.len()) <= tolerance, "{name}: {} samples", got.len());
}

#[test]
fn lossy_files_sound_like_the_recording() {
    let original = original();
    let check = |name: &str, sample_rate: u32, tolerance: usize| {
        let (format, duration, samples) = whole(name);
        assert_eq!(format, Format { sample_rate, channels: 1 }, "{name}");
        let seconds = samples.len() as f64 / f64::from(sample_rate);
        if let Some(duration) = duration {
            assert!((duration - seconds).abs() < 0.1, "{name}: {duration} s announced, {seconds} s found");
        }
        check_alike(name, &mono(format, Channels::Mix, &samples), &original, tolerance);
    };
    check("lame.mp3", 16_000, 0);
    check("vbr.mp3", 16_000, 0);
    check("vorbis.ogg", 16_000, 0);
    check("aac.m4a", 16_000, 16);
    check("faststart.m4a", 16_000, 16);
    check("silk.opus", 48_000, 0);
    check("hybrid.opus", 48_000, 0);
    check("celt.opus", 48_000, 0);
    // These do not tell how long the padding is.
    check("fragmented.m4a", 16_000, 1_024);
    check("opus.webm", 48_000, 320);
    check("live.webm", 48_000, 320);
    check("vorbis.webm", 16_000, 1_024);
    // Telephone recorders write these. The last block is filled up.
    check("ima.wav", 8_000, 1_024);
    check("ms.wav", 8_000, 1_024);
    check("ima.caf", 16_000, 64);
}

#[test]
fn streams_that_tell_no_delay_begin_with_it() {
    let original = original();
    for (name, delay) in [("untagged.mp3", 1_105), ("aac.aac", 1_024), ("mp2.mp2", 481)] {
        let (format, _, samples) = whole(name);
        assert_eq!(format, Format { sample_rate: 16_000, channels: 1 }, "{name}");
        check_alike(name, &samples[delay..], &original, 2_048);
    }
}

#[test]
fn an_mp3_may_begin_in_the_middle_of_a_frame() {
    // Without the tag, and quiet for long enough to be taken for a much longer one.
    let (vbr, quiet) = (&bytes("vbr.mp3")[200..], 24);
    let late = [&vbr[18..36], &vbr[..36].repeat(quiet), vbr].concat();
    let samples = decode(FileSource::from_bytes("late.mp3", late.clone()).unwrap());
    assert_eq!(samples.len(), (quiet + 56) * 576);
    check_alike("late.mp3", &samples[quiet * 576 + 1_105..], &original(), 2_048);
    assert!(decode(piped(late).unwrap()) == samples);
}

#[test]
fn two_mp3_in_one_are_both_heard() {
    let two = [bytes("lame.mp3"), bytes("lame.mp3")].concat();
    let samples = decode(FileSource::from_bytes("two.mp3", two).unwrap());
    let original = original();
    check_alike("the first", &samples[..original.len()], &original, 0);
    // Its delay is audio as far as anybody can tell.
    check_alike("the second", &samples[original.len() + 1_105..], &original, 1_152);
}

#[test]
fn both_channels_are_there() {
    let original = original();
    let reversed: Vec<f32> = original.iter().rev().copied().collect();
    for (name, sample_rate) in [
        ("stereo.mp3", 44_100),
        ("stereo.m4a", 44_100),
        ("stereo.opus", 48_000),
        ("ima_stereo.wav", 8_000),
        ("ms_stereo.wav", 8_000),
    ] {
        let (format, _, samples) = whole(name);
        assert_eq!(format, Format { sample_rate, channels: 2 }, "{name}");
        // The last block of ADPCM is filled up.
        let tolerance = if name.ends_with(".wav") { 1_024 } else { 32 };
        check_alike(name, &mono(format, Channels::Pick(0), &samples), &original, tolerance);
        check_alike(name, &mono(format, Channels::Pick(1), &samples), &reversed, tolerance);
    }
}

/// What is broken is named, with its kind and what was expected.
#[track_caller]
fn check_error(source: Result<FileSource>, name: &str, kind: ErrorKind, message: &str) -> Vec<f32> {
    let (samples, error) = drain(source);
    let error = error.unwrap_or_else(|| panic!("{name} was taken, {} samples", samples.len()));
    assert_eq!(error.kind(), kind, "{error}");
    assert_eq!(error.subject(), Some(name), "{error}");
    assert!(error.message().contains(message), "{error}");
    samples
}

#[track_caller]
fn check_invalid(name: &str, bytes: Vec<u8>, message: &str) -> Vec<f32> {
    check_error(FileSource::from_bytes(name, bytes), name, ErrorKind::InvalidAudio, message)
}

#[test]
fn files_that_cannot_be_read_are_io_errors() {
    let check = |path: &Path, message: &str| {
        check_error(FileSource::open(path), &path.display().to_string(), ErrorKind::Io, message);
    };
    check(Path::new("no/such/file.wav"), "No such file");
    check(&path("."), "expected a file, found a directory");
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the cable fell out"))
        }
    }
    let source = FileSource::from_reader("pipe", Box::new(Broken));
    check_error(source, "pipe", ErrorKind::Io, "the cable fell out");
    let half = std::io::Read::chain(std::io::Cursor::new(bytes("f32.wav")[..20_000].to_vec()), Broken);
    let source = FileSource::from_reader("pipe", Box::new(half));
    check_error(source, "pipe", ErrorKind::Io, "the cable fell out");
}

#[test]
fn what_is_no_audio_is_told_so() {
    check_invalid("empty.wav", Vec::new(), "expected audio, found an empty file");
    let text = "Не звук, а текст.\n".repeat(1_000);
    check_invalid("text.wav", text.into_bytes(), "expected wav, flac, mp3");
    check_invalid("zeros.mp3", vec![0; 100_000], "expected wav, flac, mp3");
    check_invalid("short.wav", b"RIFF".to_vec(), "expected wav, flac, mp3");
    for seed in 0..20 {
        check_invalid("noise.wav", noise(seed), "expected wav, flac, mp3");
    }
    // Samples without a header, and with one of another kind.
    let wav = std::fs::read(path("../../../../tests/samples/sample_00.wav")).unwrap();
    check_invalid("headless.pcm", wav[44..].to_vec(), "expected wav, flac, mp3");
    let au = [b".snd\0\0\0\x18\0\0\xf1\x5a\0\0\0\x03".as_slice(), &[0; 8], &wav[44..]].concat();
    check_invalid("other.au", au, "expected wav, flac, mp3");
    // MPEG in packets, whose headers are no audio: a transport stream and a program stream.
    let mp2 = bytes("mp2.mp2");
    let transport = mp2.chunks(184).flat_map(|part| [&[0x47, 0x01, 0x00, 0x10], part].concat()).collect();
    check_invalid("radio.ts", transport, "expected wav, flac, mp3");
    let program = [&[0, 0, 1, 0xba], [0; 10].as_slice(), &mp2].concat();
    check_invalid("film.mpg", program, "expected wav, flac, mp3");
}

fn noise(seed: u64) -> Vec<u8> {
    let mut random = random(seed);
    (0..100_000).map(|_| random() as u8).collect()
}

/// Numbers below 2^32 (xorshift64*).
fn random(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed | 1;
    move || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32
    }
}

/// A wav that is described field by field.
#[derive(Clone)]
struct Wav {
    riff: u32,
    tag: u16,
    channels: u16,
    rate: u32,
    bits: u16,
    length: u32,
    data: Vec<u8>,
}

impl Wav {
    fn new(tag: u16, channels: u16, rate: u32, bits: u16, data: Vec<u8>) -> Self {
        let length = data.len() as u32;
        Self { riff: 36 + length, tag, channels, rate, bits, length, data }
    }

    fn floats(samples: &[f32]) -> Self {
        Self::new(3, 1, 16_000, 32, samples.iter().flat_map(|sample| sample.to_le_bytes()).collect())
    }

    fn bytes(&self) -> Vec<u8> {
        let frame = self.channels.wrapping_mul(self.bits / 8);
        let mut out = Vec::new();
        out.extend(b"RIFF");
        out.extend(self.riff.to_le_bytes());
        out.extend(b"WAVEfmt ");
        out.extend(16u32.to_le_bytes());
        out.extend(self.tag.to_le_bytes());
        out.extend(self.channels.to_le_bytes());
        out.extend(self.rate.to_le_bytes());
        out.extend(self.rate.wrapping_mul(frame.into()).to_le_bytes());
        out.extend(frame.to_le_bytes());
        out.extend(self.bits.to_le_bytes());
        out.extend(b"data");
        out.extend(self.length.to_le_bytes());
        out.extend(&self.data);
        out
    }
}

#[test]
fn wav_headers_out_of_range_are_named() {
    let check = |channels, rate, bits, message: &str| {
        let wav = Wav::new(1, channels, rate, bits, vec![0; 9_600]);
        check_invalid("odd.wav", wav.bytes(), message);
    };
    check(1, 1, 16, "expected a sample rate of 8000 to 192000 Hz, found 1");
    check(1, 1_000_000, 16, "expected a sample rate of 8000 to 192000 Hz, found 1000000");
    check(0, 16_000, 16, "expected 1 to 32 channels, found 0");
    check(64, 16_000, 16, "expected 1 to 32 channels, found 64");
    check(65_535, 16_000, 16, "expected 1 to 32 channels, found 65535");
    check(1, 16_000, 0, "found format 0x0001 with 0 bits");
    check(1, 16_000, 64, "found format 0x0001 with 64 bits");
    check(1, 16_000, 12, "expected frames of 2 bytes, found 1 in the header");
    for (tag, channels, bits) in [(0x11, 1, 8), (0x02, 2, 4), (0x11, 3, 64)] {
        let adpcm = Wav::new(tag, channels, 16_000, bits, vec![0; 100]);
        check_invalid("adpcm.wav", adpcm.bytes(), "expected ADPCM");
    }
    let many = Wav::new(1, 32, 16_000, 16, vec![0; 6_400]);
    let many = FileSource::from_bytes("many.wav", many.bytes()).unwrap();
    assert_eq!(many.format().channels, 32);
    assert_eq!(decode(many).len(), 3_200);
}

#[test]
fn a_codec_without_a_decoder_is_named() {
    check_invalid("ac3.mkv", bytes("ac3.mkv"), "expected a codec that can be decoded, found AC-3");
    let speex = [b"OggS\0\x02".as_slice(), &[0; 20], &[1, 80], b"Speex   1.2", &[0; 69]].concat();
    check_invalid("call.spx", speex, "expected a codec that can be decoded, found Speex");
    let gsm = Wav::new(0x31, 1, 8_000, 0, vec![0; 650]);
    let message = "expected PCM, float, A-law, mu-law or ADPCM in the wav, found format 0x0031 (GSM 06.10)";
    check_invalid("gsm.wav", gsm.bytes(), message);
}

#[test]
fn a_wav_without_samples_is_told_so() {
    let none = Wav::new(1, 1, 16_000, 16, Vec::new());
    check_invalid("none.wav", none.bytes(), "expected audio, found a file that holds none");
    let mut tagged = none.bytes();
    tagged.extend(b"LIST\x04\0\0\0INFO");
    tagged[4..8].copy_from_slice(&48u32.to_le_bytes());
    check_invalid("tagged.wav", tagged, "expected audio, found a file that holds none");
    let header = none.bytes();
    check_invalid("header.wav", header[..36].to_vec(), "expected a fmt and a data chunk");
    check_invalid("header.wav", header[..20].to_vec(), "expected a fmt and a data chunk");
    let mut fmtless = header.clone();
    fmtless[12..16].copy_from_slice(b"xmt ");
    check_invalid("fmtless.wav", fmtless, "expected a fmt chunk before the data chunk");
}

#[test]
fn a_wav_may_not_know_its_length() {
    let data: Vec<u8> = (0..50_000).map(|n| n as u8).collect();
    let whole =
        decode(FileSource::from_bytes("wav", Wav::new(1, 1, 16_000, 16, data.clone()).bytes()).unwrap());
    assert_eq!(whole.len(), 25_000);
    for (riff, length) in
        [(0, 0), (36, 0), (u32::MAX, 0), (u32::MAX, u32::MAX), (0x7fff_f024, 0x7fff_f000), (0, 1 << 31)]
    {
        let wav = Wav { riff, length, ..Wav::new(1, 1, 16_000, 16, data.clone()) };
        let source = FileSource::from_bytes("wav", wav.bytes()).unwrap();
        assert_eq!(source.duration_hint(), Some(25_000.0 / 16_000.0), "{riff:#x}, {length:#x}");
        assert!(decode(source) == whole, "{riff:#x}, {length:#x}");
        assert!(decode(piped(wav.bytes()).unwrap()) == whole, "{riff:#x}, {length:#x} from a pipe");
        let odd = Wav { data: data[..49_999].to_vec(), ..wav }.bytes();
        let samples = check_invalid(
            "odd.wav",
            odd,
            "expected whole frames of 2 bytes, found 1 byte(s) of one at the end",
        );
        assert!(samples.len() > 10_000);
    }
}

#[test]
fn audio_behind_the_end_of_a_wav_is_not_left_out_silently() {
    let tags = b"LIST\x05\0\0\0INFOx\0";
    let wav = Wav::new(1, 1, 16_000, 16, vec![0; 64_000]).bytes();
    let more = b"data\x04\0\0\0abcd";
    for behind in [&wav[..], more, &[tags, &wav[..]].concat(), &[&tags[..], &tags[..], more].concat()] {
        let samples =
            check_invalid("two.wav", [&wav, behind].concat(), "expected one recording, found more of one");
        assert_eq!(samples.len(), 32_000);
    }
    for behind in [&tags[..], b"data\0\0\0\0", b"any thing else", b"RIF"] {
        let whole = [&wav, behind].concat();
        assert_eq!(decode(FileSource::from_bytes("one.wav", whole.clone()).unwrap()).len(), 32_000);
        assert_eq!(decode(piped(whole).unwrap()).len(), 32_000);
    }
}

#[test]
fn a_wav_of_more_than_32_bits_is_heard_to_its_end() {
    let wav = Wav::new(1, 1, 16_000, 16, vec![0; 64_000]).bytes();
    for wraps in [0, 1, 3] {
        let size = wav.len() as u64 + (wraps << 32);
        let source = FileSource::from_seekable("long.wav", std::io::Cursor::new(wav.clone()), size).unwrap();
        assert_eq!(source.duration_hint(), Some(2.0 + (wraps << 32) as f64 / 32_000.0));
        let (samples, error) = drain(Ok(source));
        assert_eq!((samples.len(), error.is_some()), (32_000, wraps > 0));
    }
}

#[test]
fn adpcm_may_end_in_a_short_block_and_need_not_state_its_length() {
    for name in ["ima.wav", "ms.wav"] {
        let whole = bytes(name);
        let samples = decode(FileSource::from_bytes(name, whole.clone()).unwrap());
        let data = whole.windows(4).position(|four| four == b"data").unwrap();
        let fact = whole.windows(4).position(|four| four == b"fact").unwrap();
        let mut exact = whole.clone();
        exact[fact + 8..fact + 12].copy_from_slice(&(samples.len() as u32 - 100).to_le_bytes());
        let exact = FileSource::from_bytes(name, exact).unwrap();
        assert_eq!(exact.duration_hint(), Some((samples.len() - 100) as f64 / 8_000.0), "{name}");
        assert!(decode(exact) == samples[..samples.len() - 100], "{name}");
        for (stated, known) in [(u32::MAX, false), ((whole.len() - data - 8 - 100) as u32, true)] {
            let mut short = whole[..whole.len() - 100].to_vec();
            short[data + 4..data + 8].copy_from_slice(&stated.to_le_bytes());
            short[fact + 8..fact + 12].copy_from_slice(&0u32.to_le_bytes());
            for source in [FileSource::from_bytes(name, short.clone()), piped(short.clone())] {
                let source = source.unwrap();
                let duration = source.duration_hint();
                let heard = decode(source);
                let common = heard.len().min(samples.len());
                assert!(heard[..common] == samples[..common], "{name}");
                assert!(samples.len().abs_diff(heard.len()) <= 512, "{name}: {} samples", heard.len());
                if known {
                    assert_eq!(duration, Some(heard.len() as f64 / 8_000.0), "{name}");
                }
            }
        }
    }
}

#[test]
fn samples_that_are_no_numbers_are_named() {
    let mut samples = vec![0.5; 20_000];
    for (bad, name) in
        [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (-1e30, "-1000000000000000000000000000000")]
    {
        samples[12_345] = bad;
        let message = format!("expected finite samples in [-1, 1], found {name} in frame 12345, channel 0");
        check_invalid("nan.wav", Wav::floats(&samples).bytes(), &message);
    }
    samples[12_345] = 1.5;
    assert!(decode(FileSource::from_bytes("loud.wav", Wav::floats(&samples).bytes()).unwrap()) == samples);
}

#[test]
fn files_cut_short_are_told_so() {
    // From a file that can seek, a cut wav is known before it is read.
    let wav = std::fs::read(path("../../../../tests/samples/sample_00.wav")).unwrap();
    for keep in [50, 20_000, 61_829] {
        let message = format!("expected 61786 bytes of samples, found {}: the file is cut short", keep - 44);
        assert!(check_invalid("cut.wav", wav[..keep].to_vec(), &message).is_empty());
        let source = piped(wav[..keep].to_vec());
        check_error(source, "pipe", ErrorKind::InvalidAudio, &message);
    }
    for name in [
        "s16.flac",
        "flac.ogg",
        "s16.aiff",
        "rf64.wav",
        "u8.wav",
        "ima.wav",
        "ms.wav",
        "alac.m4a",
        "alac.caf",
        "s16.caf",
        "ima.caf",
        "lame.mp3",
        "vbr.mp3",
        "vorbis.ogg",
        "silk.opus",
        "hybrid.opus",
        "celt.opus",
        "stereo.opus",
        "faststart.m4a",
        "aac.m4a",
        "stereo.m4a",
        "stereo.mp3",
        "fragmented.m4a",
        "opus.webm",
        "vorbis.webm",
    ] {
        let whole = bytes(name);
        for tenths in [3, 5, 7, 9] {
            let keep = whole.len() * tenths / 10;
            let (samples, error) = drain(FileSource::from_bytes(name, whole[..keep].to_vec()));
            let error =
                error.unwrap_or_else(|| panic!("{name} cut to {tenths} tenths: {} samples", samples.len()));
            println!("{error}");
            assert_eq!(error.kind(), ErrorKind::InvalidAudio, "{error}");
            assert_eq!(error.subject(), Some(name), "{error}");
        }
    }
}

#[test]
fn damage_inside_is_never_skipped_silently() {
    for name in ["s16.flac", "flac.ogg", "vorbis.ogg", "silk.opus", "celt.opus", "lame.mp3", "vbr.mp3"] {
        let whole = bytes(name);
        let expected = decode(FileSource::from_bytes(name, whole.clone()).unwrap()).len();
        // A hole, and zeros in the place of something.
        for zeros in [false, true] {
            let (from, to) = (whole.len() / 2, whole.len() / 2 + 1_500);
            let mut damaged = whole[..from].to_vec();
            if zeros {
                damaged.resize(to, 0);
            }
            damaged.extend(&whole[to..]);
            let (samples, error) = drain(FileSource::from_bytes(name, damaged));
            assert!(error.is_some() || samples.len() == expected, "{name} lost {}", expected - samples.len());
        }
    }
}

#[test]
fn one_wrong_bit_in_an_ogg_is_noticed() {
    for name in ["flac.ogg", "vorbis.ogg", "hybrid.opus"] {
        let whole = bytes(name);
        for at in (0..whole.len()).step_by(97) {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            let (_, error) = drain(FileSource::from_bytes(name, damaged));
            assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::InvalidAudio), "{name}, byte {at}");
        }
    }
}

/// Whatever bytes come in: an error or audio, soon, in bounded memory, and never a panic.
#[test]
fn hostile_files_do_no_harm() {
    let names: Vec<_> =
        std::fs::read_dir(path(".")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let rounds = std::env::var("FUZZ_ROUNDS").map_or(40, |rounds| rounds.parse().unwrap());
    for name in names.iter().filter_map(|name| name.to_str()).filter(|name| !name.ends_with(".md")) {
        let whole = bytes(name);
        for seed in 0..rounds {
            let mut random = random(seed * 7_919 + whole.len() as u64);
            let mut damaged = whole.clone();
            // Most often in the header, where the sizes are.
            for _ in 0..1 + random() % 8 {
                let reach = if random() < 1 << 31 { damaged.len().min(600) } else { damaged.len() };
                let at = random() as usize % reach;
                match random() % 4 {
                    0 => damaged[at] = 0xff,
                    1 => damaged[at] = 0,
                    2 => damaged[at] ^= 1 << (random() % 8),
                    _ => {
                        let end = (at + random() as usize % 64).min(damaged.len() - 1);
                        damaged.drain(at..end);
                    }
                }
            }
            let start = std::time::Instant::now();
            let mut result = None;
            let used = allocation_counter::measure(|| {
                let caught = std::panic::catch_unwind(|| {
                    let source = if seed < rounds / 2 {
                        FileSource::from_bytes(name, damaged)
                    } else {
                        piped(damaged)
                    };
                    let (samples, error) = drain(source);
                    (samples.len(), samples.iter().all(|sample| sample.is_finite()), error)
                });
                result = Some(caught);
            });
            let (samples, finite, error) =
                result.unwrap().unwrap_or_else(|_| panic!("{name}, seed {seed}: panic"));
            assert!(finite, "{name}, seed {seed}");
            assert!(
                start.elapsed().as_secs() < 120,
                "{name}, seed {seed}: {samples} samples, {:?}",
                start.elapsed()
            );
            assert!(
                used.bytes_max < 40_000_000,
                "{name}, seed {seed}: {} bytes, {samples} samples",
                used.bytes_max
            );
            if let Some(error) = error {
                assert_eq!(error.kind(), ErrorKind::InvalidAudio, "{name}, seed {seed}: {error}");
            }
        }
    }
}
