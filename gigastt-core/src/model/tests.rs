//! Models on the real runtime: the embedded one, small graphs made for these tests, and broken files.

use std::path::{Path, PathBuf};

use super::graph::quantise::quantise;
use super::graph::tests::{convolution_module, dequantise};
use super::graph::{AttributeProto, Graph, NodeProto, TensorProto, pointwise};
use super::ort::{open as open_graphs, refused};
use super::*;

/// Log-mel of 16 kHz samples by the definition, without a fast transform: `[T][64]`.
#[cfg(feature = "embedded-model")]
fn log_mel(samples: &[f32]) -> Vec<f32> {
    const SIZE: usize = 320;
    const BINS: usize = 161;
    let angle = |n: usize| 2.0 * std::f64::consts::PI * n as f64 / SIZE as f64;
    let window: Vec<f64> = (0..SIZE).map(|n| 0.5 - 0.5 * angle(n).cos()).collect();
    let table: Vec<(f64, f64)> = (0..SIZE).map(|n| (angle(n).cos(), angle(n).sin())).collect();
    let mel = |hz: f64| 2595.0 * (1.0 + hz / 700.0).log10();
    let edge = |k: usize| 700.0 * (10_f64.powf(mel(8000.0) * k as f64 / 65.0 / 2595.0) - 1.0);
    let filter = |m: usize, bin: usize| {
        let hz = 8000.0 * bin as f64 / (BINS - 1) as f64;
        let up = (hz - edge(m)) / (edge(m + 1) - edge(m));
        let down = (edge(m + 2) - hz) / (edge(m + 2) - edge(m + 1));
        up.min(down).max(0.0)
    };
    let filters: Vec<Vec<f64>> = (0..MELS).map(|m| (0..BINS).map(|bin| filter(m, bin)).collect()).collect();
    let mut frames = Vec::new();
    for start in (0..=samples.len() - SIZE).step_by(160) {
        let frame: Vec<f64> = (0..SIZE).map(|n| f64::from(samples[start + n]) * window[n]).collect();
        let power = |bin: usize| {
            let (mut re, mut im) = (0.0, 0.0);
            for (n, value) in frame.iter().enumerate() {
                let (cos, sin) = table[n * bin % SIZE];
                re += value * cos;
                im += value * sin;
            }
            re * re + im * im
        };
        let power: Vec<f64> = (0..BINS).map(power).collect();
        let energy = |filter: &Vec<f64>| filter.iter().zip(&power).map(|(f, p)| f * p).sum::<f64>();
        frames.extend(filters.iter().map(|filter| energy(filter).clamp(1e-9, 1e9).ln() as f32));
    }
    frames
}

/// The samples and the text of a recording in `tests/samples`.
#[cfg(feature = "embedded-model")]
fn sample(name: &str) -> (Vec<f32>, String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/samples");
    let wav = std::fs::read(folder.join(format!("{name}.wav"))).unwrap();
    let samples = wav[44..].chunks_exact(2).map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32768.0);
    let text = std::fs::read_to_string(folder.join(format!("{name}.txt"))).unwrap();
    (samples.collect(), text.trim().into())
}

/// A folder of committed test models.
fn test_models(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/models").join(name)
}

fn read(path: impl AsRef<Path>) -> Vec<u8> {
    std::fs::read(path.as_ref()).unwrap()
}

/// Encodes one window and decodes all of it, in pieces that end at `cuts`.
fn tokens(lane: &mut dyn Lane, mel: &[f32], cuts: &[usize]) -> Vec<Token> {
    let interrupt = Interrupt::default();
    let encoded = lane.encode(&[mel], &interrupt).unwrap();
    let (mut state, mut tokens) = (DecoderState::default(), Vec::new());
    let edges: Vec<usize> = [0].iter().chain(cuts).chain([&encoded.frames]).copied().collect();
    for edge in edges.windows(2) {
        lane.decode(&encoded, 0, edge[0]..edge[1], &mut state, &mut tokens, &interrupt).unwrap();
    }
    tokens
}

#[test]
#[cfg(feature = "embedded-model")]
fn the_embedded_model_hears_what_was_said() {
    let (network, info) = load(&Model::embedded(), &LoadOptions::default()).unwrap();
    let expected = ModelInfo {
        name: "gigaam-v3-e2e-rnnt".into(),
        variant: Variant::E2eRnnt,
        quantization: Some("int8w".into()),
        vocab_size: 100,
        encoder_width: Some(160),
        source: "embedded".into(),
        bytes: 611_171 + 2_793_554 + 154_773,
        optimized: None,
    };
    assert_eq!(info, expected);
    let mut lane = network.lane().unwrap();
    for name in ["sample_00", "sample_01", "sample_02", "sample_04", "sample_05", "sample_08"] {
        let (samples, expected) = sample(name);
        let mel = log_mel(&samples);
        let whole = tokens(&mut *lane, &mel, &[]);
        let (text, words) = network.vocab().words(&whole, 0.0);
        assert_eq!(text, expected, "{name}");
        assert!(
            words.iter().all(|w| w.confidence > 0.3 && w.end <= samples.len() as f64 / 16_000.0),
            "{words:?}"
        );
        assert_eq!(tokens(&mut *lane, &mel, &[1, 10, 11, 11]), whole, "{name}");
    }
}

/// The recordings in `tests/samples`.
#[cfg(feature = "embedded-model")]
fn samples() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/samples");
    let entries = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let wavs = entries.filter(|path| path.extension().is_some_and(|ending| ending == "wav"));
    let mut names: Vec<_> = wavs.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[test]
#[cfg(feature = "embedded-model")]
fn joining_many_frames_gives_the_tokens_of_one_at_a_time() {
    let open = || open_graphs(Model::embedded().resolve().unwrap(), &LoadOptions::default()).unwrap();
    let (fast, mut plain) = (open(), open());
    assert!(plain.join_plainly(), "the embedded joint network is not cut");
    let (mut fast, mut plain) = (fast.lane().unwrap(), plain.lane().unwrap());
    let mut count = 0;
    for name in samples() {
        let mel = log_mel(&sample(&name).0);
        let (found, expected) = (tokens(&mut *fast, &mel, &[]), tokens(&mut *plain, &mel, &[]));
        assert_eq!(found.len(), expected.len(), "{name}");
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!((found.id, found.frame), (expected.id, expected.frame), "{name}");
            assert!((found.logprob - expected.logprob).abs() < 1e-4, "{name}: {found:?} {expected:?}");
        }
        count += found.len();
    }
    assert!(count > 200, "{count} tokens");
}

#[test]
#[cfg(feature = "embedded-model")]
fn a_folder_and_bytes_give_what_the_embedded_model_gives() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/embedded");
    let graph = |name: &str| Some(read(folder.join(format!("v3_e2e_rnnt_{name}.int8w.onnx"))).into());
    let bytes = ModelBytes {
        variant: Variant::E2eRnnt,
        encoder: graph("encoder").unwrap(),
        decoder: graph("decoder"),
        joint: graph("joint"),
        vocab: read(folder.join("v3_e2e_rnnt_vocab.txt")).into(),
    };
    let mel = log_mel(&sample("sample_00").0);
    let hear = |model: &Model| {
        let (network, info) = load(model, &LoadOptions::default()).unwrap();
        let mut lane = network.lane().unwrap();
        (tokens(&mut *lane, &mel, &[]), info.bytes, info.encoder_width)
    };
    let expected = hear(&Model::embedded());
    assert_eq!(hear(&Model::dir(&folder)), expected);
    assert_eq!(hear(&Model::bytes(bytes)), expected);
}

#[test]
#[cfg(feature = "embedded-model")]
fn items_of_a_batch_are_what_they_are_alone() {
    let (network, _) = load(&Model::embedded(), &LoadOptions::default()).unwrap();
    let (mut lane, mut other) = (network.lane().unwrap(), network.lane().unwrap());
    let (a, b) = (log_mel(&sample("sample_00").0), log_mel(&sample("sample_01").0));
    let length = a.len().min(b.len());
    let interrupt = Interrupt::default();
    let batch = lane.encode(&[&a[..length], &b[..length], &a[..length]], &interrupt).unwrap();
    assert_eq!((batch.frames, batch.width), (encoder_frames(length / MELS), 160));
    for (item, window) in [&a, &b, &a].iter().enumerate() {
        let alone = other.encode(&[&window[..length]], &interrupt).unwrap();
        for frame in 0..batch.frames {
            assert_eq!(batch.frame(item, frame), alone.frame(0, frame), "item {item} frame {frame}");
        }
    }
}

#[test]
#[cfg(feature = "embedded-model")]
fn windows_of_any_length_are_encoded() {
    let (network, _) = load(&Model::embedded(), &LoadOptions::default()).unwrap();
    let mut lane = network.lane().unwrap();
    let interrupt = Interrupt::default();
    let mel = log_mel(&sample("sample_00").0);
    for frames in [0, 1, 2, 4, 5, 8, 9, 100] {
        let encoded = lane.encode(&[&mel[..frames * MELS]], &interrupt).unwrap();
        assert_eq!(
            (encoded.frames, encoded.data.len()),
            (encoder_frames(frames), encoded.frames * 160),
            "{frames}"
        );
    }
    assert_eq!(lane.encode(&[], &interrupt).unwrap().frames, 0);
    for windows in [&[&mel[..64], &mel[..128]][..], &[&mel[..63]]] {
        assert_eq!(lane.encode(windows, &interrupt).unwrap_err().kind(), ErrorKind::Internal);
    }
}

/// The transducer of `several` with this encoder.
fn with_encoder(encoder: Vec<u8>) -> Model {
    let file = |name: &str| Some(read(test_models("several").join(name)).into());
    Model::bytes(ModelBytes {
        variant: Variant::Rnnt,
        encoder: encoder.into(),
        decoder: file("v3_rnnt_decoder.onnx"),
        joint: file("v3_rnnt_joint.onnx"),
        vocab: file("v3_vocab.txt").unwrap(),
    })
}

/// How far `found` is from `expected`: the norm of the difference in norms of `expected`.
fn deviation(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|value| value * value).sum::<f32>().sqrt();
    norm(&mut found.iter().zip(expected).map(|(a, b)| a - b)) / norm(&mut expected.iter().copied())
}

#[test]
fn a_rewritten_convolution_module_computes_what_it_did() {
    let mel: Vec<f32> = (0..MELS * 397).map(|n| (n as f32 * 0.37).sin() * 3.0 - 5.0).collect();
    let encode = |graph: Graph| {
        let (network, _) = load(&with_encoder(graph.into_bytes()), &LoadOptions::default()).unwrap();
        network.lane().unwrap().encode(&[&mel], &Interrupt::default()).unwrap().data
    };
    let rewritten = || {
        let mut graph = convolution_module();
        assert_eq!(pointwise::to_matrix_products(&mut graph), 2);
        graph
    };
    let expected = encode(convolution_module());
    let found = encode(rewritten());
    let largest = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(largest < 1e-5, "{largest}");
    let mut quantised = rewritten();
    assert_eq!(quantise(&mut quantised), Ok(2));
    let deviation = deviation(&encode(quantised), &expected);
    assert!((1e-5..0.03).contains(&deviation), "{deviation}");
}

#[test]
#[cfg(feature = "embedded-model")]
fn the_embedded_model_in_whole_8_bit_products_hears_the_same() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/embedded");
    let graph = |name: &str| Some(read(folder.join(format!("v3_e2e_rnnt_{name}.int8w.onnx"))).into());
    let mut encoder = Graph::parse(read(folder.join("v3_e2e_rnnt_encoder.int8w.onnx")).into()).unwrap();
    quantise(&mut encoder).unwrap();
    let quantised = Model::bytes(ModelBytes {
        variant: Variant::E2eRnnt,
        encoder: encoder.into_bytes().into(),
        decoder: graph("decoder"),
        joint: graph("joint"),
        vocab: read(folder.join("v3_e2e_rnnt_vocab.txt")).into(),
    });
    let open = |model| load(&model, &LoadOptions::default()).unwrap().0.lane().unwrap();
    let (mut plain, mut quantised) = (open(Model::embedded()), open(quantised));
    for name in samples() {
        let mel = log_mel(&sample(&name).0);
        let encode = |lane: &mut dyn Lane| lane.encode(&[&mel], &Interrupt::default()).unwrap().data;
        let deviation = deviation(&encode(&mut *quantised), &encode(&mut *plain));
        assert!((1e-4..0.04).contains(&deviation), "{name}: {deviation}");
        let ids = |lane: &mut dyn Lane| tokens(lane, &mel, &[]).iter().map(|t| t.id).collect::<Vec<_>>();
        assert_eq!(ids(&mut *quantised), ids(&mut *plain), "{name}");
    }
}

/// Mel frames of which every fourth, an encoder frame of the test models, has these energies.
fn energies(frames: &[&[(usize, f32)]]) -> Vec<f32> {
    let mut mel = vec![0.0; (frames.len() * 4).saturating_sub(3) * MELS];
    for (frame, energies) in frames.iter().enumerate() {
        for (channel, energy) in *energies {
            mel[frame * 4 * MELS + channel] = *energy;
        }
    }
    mel
}

/// Checks the tokens that a test model gives for frames of channel energies, whole and in pieces.
fn check_tokens(model: &Model, max_symbols: u32, frames: &[&[(usize, f32)]], expected: &[(u32, u32)]) {
    let options = LoadOptions { max_symbols, ..LoadOptions::default() };
    let (network, _) = load(model, &options).unwrap();
    let mut lane = network.lane().unwrap();
    let mel = energies(frames);
    let whole = tokens(&mut *lane, &mel, &[]);
    assert_eq!(whole.iter().map(|t| (t.id, t.frame)).collect::<Vec<_>>(), expected, "{model:?} {frames:?}");
    for cut in 0..=frames.len() {
        assert_eq!(tokens(&mut *lane, &mel, &[cut]), whole, "{model:?} cut at {cut}");
    }
}

#[test]
fn transducers_decode_as_their_arithmetic_says() {
    for model in [Model::dir(test_models("several")).variant(Variant::Rnnt), Model::dir(test_models("newer"))]
    {
        let check =
            |max, frames: &[&[(usize, f32)]], expected: &[_]| check_tokens(&model, max, frames, expected);
        check(3, &[], &[]);
        check(3, &[&[]], &[]);
        check(3, &[&[(1, 3.0)], &[], &[(2, 3.0)]], &[(1, 0), (2, 2)]);
        // The highest wins; then it costs 4 more and the second is heard in the same frame.
        check(3, &[&[(1, 2.5), (2, 2.0)]], &[(1, 0), (2, 0)]);
        // Said just now, 3 is not enough again, 6 is; another token between halves the price.
        check(3, &[&[(1, 3.0)], &[(1, 3.0)], &[(1, 6.0)]], &[(1, 0), (1, 2)]);
        check(3, &[&[(1, 3.0)], &[(2, 3.0)], &[(1, 3.5)]], &[(1, 0), (2, 1), (1, 2)]);
        check(1, &[&[(1, 90.0)], &[(1, 90.0)]], &[(1, 0), (1, 1)]);
        check(3, &[&[(1, 90.0)], &[(1, 3.0)]], &[(1, 0), (1, 0), (1, 0)]);
        check(5, &[&[(1, 90.0)]], &[(1, 0); 5]);
    }
}

#[test]
fn ctc_networks_decode_as_their_arithmetic_says() {
    let check = |variant, frames: &[&[(usize, f32)]], expected: &[_]| {
        check_tokens(&Model::dir(test_models("several")).variant(variant), 3, frames, expected);
    };
    check(Variant::Ctc, &[], &[]);
    check(
        Variant::Ctc,
        &[&[(5, 3.0)], &[(5, 2.0)], &[], &[(5, 2.0)], &[(6, 2.0)]],
        &[(5, 0), (5, 3), (6, 4)],
    );
    // Channel 40 is no class of the small head, and one of the large.
    check(Variant::Ctc, &[&[(40, 9.0)]], &[]);
    check(Variant::E2eCtc, &[&[(40, 9.0)], &[(63, 2.0)], &[(0, 0.5)]], &[(40, 0), (63, 1)]);
}

#[test]
fn texts_of_the_heads_come_out() {
    let hear = |variant: Variant, frames: &[&[(usize, f32)]]| {
        let (network, info) =
            load(&Model::dir(test_models("several")).variant(variant), &LoadOptions::default()).unwrap();
        assert_eq!((info.variant, info.encoder_width.is_some()), (variant, variant.head() == Head::Rnnt));
        let mut lane = network.lane().unwrap();
        network.vocab().words(&tokens(&mut *lane, &energies(frames), &[]), 0.0).0
    };
    let (d, a, space) = ([(5, 9.0)], [(1, 9.0)], [(0, 9.0)]);
    assert_eq!(hear(Variant::Ctc, &[&d, &a, &space, &d, &d, &[], &a]), "да да");
    assert_eq!(
        hear(Variant::Rnnt, &[&[(5, 2.0)], &[(1, 2.0)], &[(0, 2.0)], &[(5, 2.5)], &[(1, 2.5)]]),
        "да да"
    );
    // `Д`, `а`, and the space piece before `Д` again.
    assert_eq!(hear(Variant::E2eCtc, &[&[(38, 2.0)], &[(2, 2.0)], &[(1, 2.0)], &[(38, 2.0)]]), "Да Д");
}

/// The model of `several` with one file replaced.
fn with_replaced(name: &str, by: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(test_models("several")).unwrap().flatten() {
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    std::fs::copy(by, folder.path().join(name)).unwrap();
    folder
}

/// Loads a model whose encoder fits and fails when it runs, and runs it.
fn run_failing() -> Error {
    let folder = with_replaced("v3_rnnt_encoder.onnx", &test_models("wrong").join("fails.onnx"));
    let model = Model::dir(folder.path()).variant(Variant::Rnnt);
    let (network, _) = load(&model, &LoadOptions::default()).unwrap();
    let mut lane = network.lane().unwrap();
    let error = lane.encode(&[&[0.0; 5 * MELS]], &Interrupt::default()).unwrap_err();
    assert_eq!(lane.encode(&[], &Interrupt::default()).unwrap().frames, 0);
    error
}

#[test]
fn a_failing_run_is_an_error() {
    let error = run_failing();
    assert_eq!(error.kind(), ErrorKind::Inference, "{error}");
}

#[test]
fn models_that_do_not_fit_are_refused() {
    let several = test_models("several");
    let check = |replaced: &str, by: &Path, variant: Variant, expected: &[&str]| {
        let folder = with_replaced(replaced, by);
        let error = load(&Model::dir(folder.path()).variant(variant), &LoadOptions::default()).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidModel, "{error}");
        assert!(error.subject().is_some_and(|subject| subject.contains("v3_")), "{error}");
        for part in expected {
            assert!(error.to_string().contains(part), "{part}: {error}");
        }
    };
    let wrong = |name: &str| test_models("wrong").join(name);
    let (encoder, joint, ctc) = ("v3_rnnt_encoder.onnx", "v3_rnnt_joint.onnx", "v3_ctc.onnx");
    let decoder = "v3_rnnt_decoder.onnx";
    check(encoder, &wrong("identity.onnx"), Variant::Rnnt, &["expected 2 inputs", "found 1 `x` float32[1]"]);
    check(encoder, &wrong("mels_80.onnx"), Variant::Rnnt, &["float32[B,64,T]", "float32[?,80,?]"]);
    check(encoder, &wrong("sequence.onnx"), Variant::Rnnt, &["expected 2 inputs"]);
    check(encoder, &wrong("nested.onnx"), Variant::Rnnt, &["ONNX Runtime can run"]);
    check(encoder, &several.join(ctc), Variant::Rnnt, &["expected 2 outputs"]);
    check(decoder, &several.join(joint), Variant::Rnnt, &["expected 3 inputs"]);
    check(joint, &wrong("classes_33.onnx"), Variant::Rnnt, &["pieces in the vocabulary, 34, found 33"]);
    check(ctc, &wrong("ctc_33.onnx"), Variant::Ctc, &["34, found 33"]);
    check("v3_vocab.txt", &several.join("v3_e2e_ctc_vocab.txt"), Variant::Ctc, &["257, found 34"]);
    check(joint, &wrong("identity.onnx"), Variant::Rnnt, &[joint, "expected 2 inputs"]);
    check(encoder, &wrong("wide.onnx"), Variant::Rnnt, &["as the encoder gives, 72, found 64"]);
    for (graph, variant) in
        [(encoder, Variant::Rnnt), (decoder, Variant::Rnnt), (joint, Variant::Rnnt), (ctc, Variant::Ctc)]
    {
        check(graph, &several.join("v3_vocab.txt"), variant, &["ONNX Runtime can run"]);
    }
}

#[test]
#[cfg(feature = "embedded-model")]
fn broken_graphs_are_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/embedded");
    let good = ["encoder", "decoder", "joint"]
        .map(|name| read(folder.join(format!("v3_e2e_rnnt_{name}.int8w.onnx"))));
    let vocab = read(folder.join("v3_e2e_rnnt_vocab.txt"));
    for (which, stem) in Variant::E2eRnnt.stems().iter().enumerate() {
        let size = good[which].len();
        for length in [0, 1, 2, 7, 100, size / 3, size / 2, size - 1000, size - 1] {
            let mut broken = good.clone();
            broken[which].truncate(length);
            let [encoder, decoder, joint] = broken.map(Into::into);
            let (decoder, joint, vocab) = (Some(decoder), Some(joint), vocab.clone().into());
            let model =
                Model::bytes(ModelBytes { variant: Variant::E2eRnnt, encoder, decoder, joint, vocab });
            let error = load(&model, &LoadOptions::default()).err().unwrap();
            assert_eq!(
                (error.kind(), error.subject()),
                (ErrorKind::InvalidModel, Some(*stem)),
                "{length}: {error}"
            );
        }
    }
}

/// Bits, bytes and ends of the graphs change at random. They are only loaded: what has become of a size
/// may ask for any amount of memory when it runs.
#[test]
fn corrupt_graphs_do_no_harm() {
    let folder = test_models("several");
    let graphs = ["v3_rnnt_encoder", "v3_rnnt_decoder", "v3_rnnt_joint", "v3_ctc"];
    let graphs = graphs.map(|name| read(folder.join(format!("{name}.onnx"))));
    let vocab = read(folder.join("v3_vocab.txt"));
    let (mut refused, mut taken) = (0, 0);
    for seed in 1..400_u64 {
        let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut below = |n: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as usize % n.max(1)
        };
        let mut graphs = graphs.clone();
        let graph = below(4);
        for _ in 0..=below(3) {
            let bytes = &mut graphs[graph];
            let at = below(bytes.len());
            match below(4) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, below(256) as u8),
                2 => bytes.truncate(bytes.len().saturating_sub(1)),
                _ => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << below(8)),
            }
        }
        let [encoder, decoder, joint, ctc] = graphs.map(Into::into);
        let (variant, encoder) = if graph == 3 { (Variant::Ctc, ctc) } else { (Variant::Rnnt, encoder) };
        let vocab = vocab.clone().into();
        let model = ModelBytes { variant, encoder, decoder: Some(decoder), joint: Some(joint), vocab };
        match load(&Model::bytes(model), &LoadOptions::default()) {
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::InvalidModel, "seed {seed}: {error}");
                refused += 1;
            }
            Ok(_) => taken += 1,
        }
    }
    assert!(refused > 100 && taken > 5, "{refused} refused, {taken} taken");
}

#[test]
#[cfg(feature = "embedded-model")]
fn an_interrupt_ends_a_running_call() {
    let (network, _) = load(&Model::embedded(), &LoadOptions::default()).unwrap();
    let mut lane = network.lane().unwrap();
    let mel: Vec<f32> = log_mel(&sample("sample_00").0).repeat(16);
    let whole = std::time::Instant::now();
    lane.encode(&[&mel, &mel], &Interrupt::default()).unwrap();
    let whole = whole.elapsed();

    // A call that had ended by itself gives a result. A busy machine may let that happen.
    let interrupt = (0..100).find_map(|_| {
        let interrupt = Interrupt::default();
        let outcome = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(whole / 10);
                interrupt.fire();
            });
            lane.encode(&[&mel, &mel], &interrupt).map(|_| ()).map_err(|e| e.kind())
        });
        (outcome == Err(ErrorKind::Cancelled)).then_some(interrupt)
    });
    let interrupt = interrupt.expect("a call under way is ended");

    let again = lane.encode(&[&mel[..64]], &interrupt).map(|_| ()).map_err(|e| e.kind());
    assert_eq!(again, Err(ErrorKind::Cancelled));
    let (mut state, mut decoded) = (DecoderState::default(), Vec::new());
    let encoded = lane.encode(&[&mel[..MELS * 100]], &Interrupt::default()).unwrap();
    let outcome = lane.decode(&encoded, 0, 0..encoded.frames, &mut state, &mut decoded, &interrupt);
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Cancelled);
    assert!(!tokens(&mut *lane, &mel[..MELS * 190], &[]).is_empty());
}

#[test]
#[cfg(feature = "embedded-model")]
fn a_provider_that_the_library_lacks_is_an_error() {
    let absent = if cfg!(target_os = "macos") { Provider::OpenVino } else { Provider::CoreMl };
    let options = LoadOptions { provider: absent, ..LoadOptions::default() };
    let error = load(&Model::embedded(), &options).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Provider);
    assert!(error.message().contains(absent.code()), "{error}");
    for provider in Provider::ALL {
        assert_eq!(Provider::from_code(provider.code()), Some(provider));
    }
}

#[test]
fn what_went_wrong_on_a_device_is_no_fault_of_the_model() {
    let check = |provider, message: &str, kind, told: &str| {
        let error = refused(provider, message);
        assert_eq!((error.kind(), error.message()), (kind, told));
    };
    let no_device = "/src/cuda_call.cc:154 void CudaCall(int) [with ERRTYPE = cudaError] CUDA failure 100: no \
                     CUDA-capable device is detected ; GPU=-1 ; hostname=vm ; expr=cudaSetDevice(id); \n";
    let told = "the provider cuda cannot run it: CUDA failure 100: no CUDA-capable device is detected";
    check(Provider::Cuda, no_device, ErrorKind::Provider, told);
    let little =
        "/src/bfc_arena.cc:360 void* Allocate(size_t) Available memory of 0 is smaller than requested\n";
    let told = "the provider cuda cannot run it: Available memory of 0 is smaller than requested";
    check(Provider::Cuda, little, ErrorKind::Provider, told);
    let told = "expected a graph that ONNX Runtime can run: no graph";
    check(Provider::Cuda, "no graph", ErrorKind::InvalidModel, told);
    let told = format!("expected a graph that ONNX Runtime can run: {little}");
    check(Provider::Cpu, little, ErrorKind::InvalidModel, &told);
}

/// Pointwise convolutions with gates between the energies and the encoder's output.
#[test]
fn an_encoder_rewritten_as_on_cuda_gives_what_it_gave() {
    let several = test_models("several");
    let part = |name: &str| Some(read(several.join(name)).into());
    let model = |encoder: Vec<u8>| {
        Model::bytes(ModelBytes {
            variant: Variant::Rnnt,
            encoder: encoder.into(),
            decoder: part("v3_rnnt_decoder.onnx"),
            joint: part("v3_rnnt_joint.onnx"),
            vocab: read(several.join("v3_vocab.txt")).into(),
        })
    };
    let open =
        |encoder: Vec<u8>| open_graphs(model(encoder).resolve().unwrap(), &LoadOptions::default()).unwrap();
    let (plain, rewritten) =
        (open(convolution_module().into_bytes()), open(convolution_module().into_bytes()));
    assert!(rewritten.rewrite_as_on_cuda().unwrap(), "it has pointwise convolutions");
    let mel: Vec<f32> = (0..MELS * 97).map(|n| (n as f32 * 0.37).sin() * 3.0 - 5.0).collect();
    let encode =
        |network: &dyn Network| network.lane().unwrap().encode(&[&mel, &mel], &Interrupt::default()).unwrap();
    let (expected, found) = (encode(&plain), encode(&rewritten));
    assert_eq!(found.frames, expected.frames);
    for (found, expected) in found.data.iter().zip(&expected.data) {
        assert!((found - expected).abs() < 1e-4 * expected.abs().max(1.0), "{found} {expected}");
    }
    assert!(!open(read(several.join("v3_rnnt_encoder.onnx"))).rewrite_as_on_cuda().unwrap(), "it has none");
}

/// Runs [`child`] in a process of its own, as what ONNX Runtime is loaded from is the process's.
/// `paths` are the libraries it opens an engine with, in turn; an empty one stands for none.
/// Returns what each gave. Nothing else may be printed.
fn in_child(paths: &[&Path], environment: &[(&str, &str)]) -> Vec<String> {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "model::tests::child", "--nocapture"]).env_remove(runtime::VARIABLE);
    command.env(CHILD, std::env::join_paths(paths).unwrap()).envs(environment.iter().copied());
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    assert_eq!(err, "", "{out}");
    let lines = out.lines().filter_map(|line| line.split_once("child: "));
    lines.map(|(_, line)| line.into()).collect()
}

const CHILD: &str = "GIGASTT_TEST_RUNTIMES";

/// See [`in_child`]; does nothing in an ordinary run.
#[test]
fn child() {
    let Some(paths) = std::env::var_os(CHILD) else { return };
    for path in std::env::split_paths(&paths) {
        let runtime = (!path.as_os_str().is_empty()).then_some(path);
        let options = LoadOptions { runtime, ..LoadOptions::default() };
        match load(&Model::dir(test_models("several")).variant(Variant::Rnnt), &options) {
            Ok((network, _)) => {
                let tokens = tokens(&mut *network.lane().unwrap(), &energies(&[&[(1, 3.0)]]), &[]);
                // ONNX Runtime has something to say about this one; it must not be printed.
                run_failing();
                println!("child: heard {}", tokens.len());
            }
            Err(error) => println!("child: {} {error}", error.kind().code()),
        }
    }
}

/// The library that the tests run on.
fn library() -> PathBuf {
    runtime::Places::of_process(None, &[]).find().unwrap().expect("the tests need ONNX Runtime").path
}

#[test]
fn a_process_keeps_one_runtime() {
    let (folder, library) = (tempfile::tempdir().unwrap(), library());
    let check = |paths: &[&Path], expected: &[&[&str]]| {
        let found = in_child(paths, &[]);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, parts) in found.iter().zip(expected) {
            assert!(parts.iter().all(|part| found.contains(part)), "{found} {parts:?}");
        }
    };
    let (named, none, other) = (library.as_path(), Path::new(""), folder.path().join("other.so"));
    std::fs::copy(&library, &other).unwrap();
    let heard = ["heard 1"];
    let both = ["runtime ", library.to_str().unwrap(), other.to_str().unwrap()];
    check(&[named, named, none], &[&heard, &heard, &heard]);
    check(&[named, &other, none], &[&heard, &both, &heard]);
    // What failed leaves the way free.
    check(&[&folder.path().join("none"), named], &[&["runtime ", "none: expected"], &heard]);
    #[cfg(unix)]
    {
        let link = folder.path().join("link.so");
        std::os::unix::fs::symlink(&library, &link).unwrap();
        check(&[named, &link], &[&heard, &heard]);
    }
}

#[test]
fn a_library_that_is_no_runtime_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let library = library();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let whole = read(&library);
    let check = |path: &Path, expected: &str| {
        let by_argument = in_child(&[path], &[]);
        let by_variable = in_child(&[Path::new("")], &[(runtime::VARIABLE, path.to_str().unwrap())]);
        for found in [by_argument, by_variable].concat() {
            assert!(found.starts_with("runtime ") && found.contains(path.to_str().unwrap()), "{found}");
            for words in
                [expected, "to mend it, ", "`pip install ", "`make setup`", "searched in this order: "]
            {
                assert!(found.contains(words), "`{words}` in {found}");
            }
        }
    };
    check(&file("text", b"no library at all"), "expected a shared library, found 17 bytes");
    check(&folder.path().join("none"), "expected ONNX Runtime's library");
    check(folder.path(), "found a folder");
    if cfg!(target_os = "linux") {
        for part in [100, 4096, whole.len() / 2, whole.len() - 1] {
            check(&file("truncated", &whole[..part]), "truncated");
        }
    }
    check(&own_library(folder.path(), "strange", ""), "OrtGetApiBase");
    let old = |version: &str| {
        own_library(
            folder.path(),
            &format!("old_{}", version.replace('.', "_")),
            &format!(
                r#"
                #[repr(C)] pub struct Base(extern "C" fn(u32) -> *const u8, extern "C" fn() -> *const u8);
                extern "C" fn api(_: u32) -> *const u8 {{ std::ptr::null() }}
                extern "C" fn version() -> *const u8 {{ c"{version}".as_ptr().cast() }}
                static BASE: Base = Base(api, version);
                #[no_mangle] pub extern "C" fn OrtGetApiBase() -> &'static Base {{ &BASE }}
                "#
            ),
        )
    };
    check(&old("1.14.1"), "1.14.1");
    check(&old("nonsense"), "nonsense");
}

/// Compiles a shared library.
fn own_library(folder: &Path, name: &str, source: &str) -> PathBuf {
    let (input, output) = (folder.join(format!("{name}.rs")), folder.join(format!("{name}.library")));
    std::fs::write(&input, source).unwrap();
    let compiler = std::env::var_os("RUSTC").unwrap_or("rustc".into());
    let mut command = std::process::Command::new(compiler);
    command.args(["--edition", "2021", "--crate-type", "cdylib", "-o"]).arg(&output).arg(&input);
    assert!(command.status().unwrap().success());
    output
}

#[test]
fn without_a_runtime_the_cure_is_told() {
    let nowhere = [("PATH", "/nowhere"), ("HOME", "/nowhere"), ("VIRTUAL_ENV", ""), ("CONDA_PREFIX", "")];
    let found = in_child(&[Path::new("")], &[&nowhere[..], &[("LD_LIBRARY_PATH", "")]].concat());
    // A machine may well have the library in a folder of the system.
    let words = ["pip install onnxruntime", "searched in this order: ", "(not set)"];
    let told = found[0].starts_with("runtime ") && words.iter().all(|words| found[0].contains(words));
    assert!(told || found[0] == "heard 1", "{found:?}");
}

/// The embedded model with an encoder of plain floats: products of 8-bit weights round what goes into them,
/// and that would hide small faults.
#[cfg(feature = "embedded-model")]
fn embedded_in_floats() -> Model {
    embedded_with(|_| {})
}

/// The same, changed.
#[cfg(feature = "embedded-model")]
fn embedded_with(change: impl Fn(&mut Graph)) -> Model {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/embedded");
    let graph = |name: &str| Some(read(folder.join(format!("v3_e2e_rnnt_{name}.int8w.onnx"))).into());
    let mut encoder = Graph::parse(read(folder.join("v3_e2e_rnnt_encoder.int8w.onnx")).into()).unwrap();
    dequantise(&mut encoder);
    change(&mut encoder);
    Model::bytes(ModelBytes {
        variant: Variant::E2eRnnt,
        encoder: encoder.into_bytes().into(),
        decoder: graph("decoder"),
        joint: graph("joint"),
        vocab: read(folder.join("v3_e2e_rnnt_vocab.txt")).into(),
    })
}

/// A lane whose encoder keeps its past, and one whose does not.
#[cfg(feature = "embedded-model")]
fn keeping_and_plain(model: &Model) -> [Box<dyn Lane>; 2] {
    [true, false].map(|keeping| {
        let (network, _) = load(model, &LoadOptions { keeping, ..LoadOptions::default() }).unwrap();
        assert_eq!(network.kept().is_some(), keeping);
        network.lane().unwrap()
    })
}

/// Encodes `mel` in steps of these lengths, each with `right` frames of right context or all there are.
/// Between steps `fault` is done to what is kept.
#[cfg(feature = "embedded-model")]
fn stepwise(
    lane: &mut dyn Lane,
    mel: &[f32],
    steps: &[usize],
    (left, right): (usize, usize),
    fault: impl Fn(&mut Past),
) -> Vec<f32> {
    let (count, mut past, mut found) = (encoder_frames(mel.len() / MELS), Past::new(left), Vec::new());
    let (mut steps, mut first) = (steps.iter().copied().cycle(), 0);
    while first < count {
        let step = steps.next().unwrap().min(count - first);
        let (begin, end) = (4 * first.saturating_sub(BEFORE) * MELS, 4 * (first + step + right) * MELS);
        let window = &mel[begin..end.min(mel.len())];
        let encoded = lane
            .step(&mut [Step { mel: window, frames: step, past: &mut past }], &Interrupt::default())
            .unwrap();
        found.extend_from_slice(&encoded.data[..step * encoded.width]);
        first += step;
        fault(&mut past);
    }
    found
}

#[cfg(feature = "embedded-model")]
fn largest_difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// With all of the rest as right context, steps compute what one pass computes, but for the 8 bits that keys
/// and values are kept in.
#[test]
#[cfg(feature = "embedded-model")]
fn a_past_is_as_good_as_what_it_stands_for() {
    let [mut keeping, mut plain] = keeping_and_plain(&embedded_in_floats());
    let mut steps = |mel: &[f32], steps: &[usize], fault: &dyn Fn(&mut Past)| {
        let expected = plain.encode(&[mel], &Interrupt::default()).unwrap().data;
        largest_difference(&stepwise(&mut *keeping, mel, steps, (256, 1_000), fault), &expected)
    };
    for name in ["sample_00", "sample_05"] {
        let mel = log_mel(&sample(name).0);
        let one = steps(&mel, &[1_000], &|_| {});
        assert!(one < 1e-4, "{name}: {one} off in one step");
        for lengths in [&[16][..], &[1, 2, 7, 30], &[4]] {
            let off = steps(&mel, lengths, &|_| {});
            assert!(off < 0.02, "{name}: {off} off in steps of {lengths:?}");
        }
        for (fault, what) in [
            (&Past::shift as &dyn Fn(&mut Past), "rows that are a frame late"),
            (&Past::restart, "positions that restart"),
            (&Past::forget, "convolutions that forget"),
        ] {
            let off = steps(&mel, &[16], fault);
            assert!(off > 0.1, "{name}: only {off} off with {what}");
        }
    }
}

/// Steps give what an independent implementation gives for them; see `tests/data/streaming/README.md`.
#[test]
#[cfg(feature = "embedded-model")]
fn steps_are_those_of_the_reference() {
    const STEPS: [usize; 7] = [5, 8, 3, 14, 2, 7, 9];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let floats = |name: &str| -> Vec<f32> {
        let bytes = read(folder.join(name));
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    };
    let (mel, expected) = (floats("mel/sample_00.mel"), floats("streaming/sample_00.encoded"));
    let [mut keeping, _] = keeping_and_plain(&embedded_in_floats());
    let mut steps = |fault: &dyn Fn(&mut Past)| stepwise(&mut *keeping, &mel, &STEPS, (12, 5), fault);
    let sound = steps(&|_| {});
    let largest = largest_difference(&sound, &expected);
    // What lies between two steps of the 8 bits may be rounded otherwise there.
    let beyond = sound.iter().zip(&expected).filter(|(a, b)| (*a - *b).abs() > 1e-3).count();
    assert!(largest < 2e-3 && beyond * 1_000 <= sound.len(), "{largest} off, {beyond} of {}", sound.len());
    for (fault, what) in [
        (&Past::shift as &dyn Fn(&mut Past), "keys a frame beside their values"),
        (&Past::restart, "positions that restart"),
        (&Past::forget, "convolutions that forget"),
    ] {
        let off = largest_difference(&steps(fault), &expected);
        assert!(off > 0.1, "only {off} off with {what}");
    }
}

/// In floats, steps of several utterances in one call, at different places and with pasts of different length, give
/// what each gives in a call of its own, and leave the same.
#[test]
#[cfg(feature = "embedded-model")]
fn steps_that_share_a_call_do_not_change_one_another() {
    for model in [embedded_in_floats(), embedded_with(look_positions_up)] {
        check_shared_steps(&model);
    }
}

/// Lets the encoder look its rotary positions up in one table, `[cosines and sines, 1, 1, width]`, and rotate with
/// time as the first axis, as GigaAM's own code does.
#[cfg(feature = "embedded-model")]
fn look_positions_up(graph: &mut Graph) {
    const ROWS: usize = 500;
    let nodes = &graph.body.node;
    let of = |operator: &str| nodes.iter().find(|node| node.op_type() == operator).unwrap();
    let maker = |name: &str| nodes.iter().find(|node| node.output[0] == name).unwrap();
    let (cos, sin) = (of("Cos").output[0].clone(), of("Sin").output[0].clone());
    let frequencies = maker(&maker(&of("Cos").input[0]).input[1]).attribute("value").unwrap().t.clone();
    let frequencies = frequencies.unwrap().raw_data.unwrap();
    let frequency = |n: usize| f32::from_le_bytes(frequencies[4 * n..4 * n + 4].try_into().unwrap());
    let width = frequencies.len() / 4;
    let angles = || (0..ROWS * width).map(|at| (at / width) as f32 * frequency(at % width));
    let table: Vec<f32> = angles().map(f32::cos).chain(angles().map(f32::sin)).collect();
    let integers = |name: &str, value: usize| TensorProto::integers(name, &[value as i64]);
    graph.body.initializer.extend([
        TensorProto::of_floats("table", &[2 * ROWS, 1, 1, width], &table),
        integers("cosines", 0),
        integers("sines", ROWS),
    ]);
    let turn = |from: &str, to: &str, perm: &[i64]| {
        NodeProto::of("Transpose", [from], to).with(AttributeProto::integers("perm", perm))
    };
    let mut nodes = Vec::new();
    for mut node in std::mem::take(&mut graph.body.node) {
        let start = match node.input.get(1) {
            Some(name) if *name == cos => "cosines",
            Some(name) if *name == sin => "sines",
            _ => {
                nodes.push(node);
                continue;
            }
        };
        let [heard, output] = [node.input[0].clone(), node.output[0].clone()];
        let name = |what: &str| format!("{output}.{what}");
        let length = NodeProto::of("Shape", [&heard], &name("length"));
        nodes.extend([
            length.with(AttributeProto::integer("start", 2)).with(AttributeProto::integer("end", 3)),
            NodeProto::of("Add", [start, &name("length")], &name("end")),
            NodeProto::of("Slice", ["table", start, &name("end")], &name("rows")),
            turn(&heard, &name("turned"), &[2, 0, 1, 3]),
        ]);
        (node.input, node.output) = (vec![name("turned"), name("rows")], vec![name("product")]);
        nodes.push(node);
        nodes.push(turn(&name("product"), &output, &[1, 2, 0, 3]));
    }
    graph.body.node = nodes;
}

#[cfg(feature = "embedded-model")]
fn check_shared_steps(model: &Model) {
    let [mut lane, _] = keeping_and_plain(model);
    let never = Interrupt::default();
    let mels = ["sample_00", "sample_05"].map(|name| log_mel(&sample(name).0));
    // Which audio, frames before the step, and how many of them are kept.
    let places = [(0, 20, 64), (1, 12, 64), (0, 7, 64), (1, 20, 8)];
    let begun = |lane: &mut dyn Lane, (mel, before, left): (usize, usize, usize)| {
        let mut past = Past::new(left);
        let begin = &mels[mel][..4 * (before + 9) * MELS];
        lane.step(&mut [Step { mel: begin, frames: before, past: &mut past }], &never).unwrap();
        past
    };
    let window =
        |(mel, first, _): (usize, usize, usize)| &mels[mel][4 * (first - BEFORE) * MELS..][..4 * 22 * MELS];
    let mut own: Vec<Past> = places.iter().map(|place| begun(&mut *lane, *place)).collect();
    let mut shared = own.clone();
    // Twice, so that what the first call leaves is what the second begins with.
    for round in [0, 8] {
        let moved = |(mel, first, left)| (mel, first + round, left);
        let pairs = places.iter().map(|place| window(moved(*place)));
        let mut steps: Vec<Step<'_>> =
            pairs.zip(&mut shared).map(|(mel, past)| Step { mel, frames: 8, past }).collect();
        let found = lane.step(&mut steps, &never).unwrap();
        for (item, (place, past)) in places.iter().zip(&mut own).enumerate() {
            let mut step = [Step { mel: window(moved(*place)), frames: 8, past }];
            let expected = lane.step(&mut step, &never).unwrap();
            let found = &found.data[item * expected.data.len()..][..expected.data.len()];
            let off = largest_difference(found, &expected.data);
            // What was kept of the first differs in the last of its 8 bits at most.
            let most = if round == 0 { 1e-5 } else { 1e-4 };
            assert!(off < most, "{place:?} after {round} frames: {off} off");
        }
        let same =
            |(own, shared): (&Past, &Past)| (own.frames(), own.kept()) == (shared.frames(), shared.kept());
        assert!(own.iter().zip(&shared).all(same));
    }
    let (first, second) = own.split_at_mut(1);
    let mut unequal = [
        Step { mel: window(places[0]), frames: 8, past: &mut first[0] },
        Step { mel: window(places[1]), frames: 7, past: &mut second[0] },
    ];
    assert_eq!(lane.step(&mut unequal, &never).unwrap_err().kind(), ErrorKind::Internal);
}
