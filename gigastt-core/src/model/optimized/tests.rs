//! Forms of a small model in a folder: made, taken, broken and made again.

use std::fs;

use super::*;
use crate::model::graph::tests::{Written, attention_module, convolution_module, strided_convolution};
use crate::model::graph::{AttributeProto, NodeProto, TensorProto};
use crate::model::{Interrupt, LoadOptions, MELS, Past, Step, Variant, load};

const ENCODER: &str = "v3_rnnt_encoder.onnx";

/// The transducer of `several` with the encoder `graph`.
fn folder_with(graph: Graph) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let several = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/models/several");
    for name in ["v3_rnnt_decoder.onnx", "v3_rnnt_joint.onnx", "v3_vocab.txt", "v3_ctc.onnx"] {
        fs::copy(several.join(name), folder.path().join(name)).unwrap();
    }
    fs::write(folder.path().join(ENCODER), graph.into_bytes()).unwrap();
    folder
}

fn model(folder: &tempfile::TempDir) -> Model {
    Model::dir(folder.path()).variant(Variant::Rnnt)
}

fn make_form(folder: &tempfile::TempDir, form: Form) -> Optimized {
    match optimize(&model(folder), &OptimizeOptions { form, ..OptimizeOptions::default() }).unwrap() {
        Outcome::Made(made) => made,
        other => panic!("{other:?}"),
    }
}

/// The form that runs when the model is loaded, and what its encoder gives.
fn run(folder: &tempfile::TempDir) -> (Option<Form>, Vec<f32>) {
    run_on(folder, 97)
}

/// As [`run`], for a window of so many mel frames.
fn run_on(folder: &tempfile::TempDir, frames: usize) -> (Option<Form>, Vec<f32>) {
    let (network, info) = load(&model(folder), &LoadOptions::default()).unwrap();
    let mel: Vec<f32> = (0..MELS * frames).map(|n| (n as f32 * 0.37).sin() * 3.0 - 5.0).collect();
    let encoded = network.lane().unwrap().encode(&[&mel], &Interrupt::default()).unwrap();
    (info.optimized, encoded.data)
}

/// The folders inside `optimized/`.
fn stored(folder: &tempfile::TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path().join(store::FOLDER)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name != ".lock").collect();
    names.sort();
    names
}

#[test]
fn a_form_is_made_once_and_runs_from_then_on() {
    let folder = folder_with(convolution_module());
    let (none, plain) = run(&folder);
    assert_eq!(none, None);
    let copied = |folder| load(&model(folder), &LoadOptions::default()).unwrap().0.copied_bytes();
    assert_eq!(copied(&folder), fs::metadata(folder.path().join(ENCODER)).unwrap().len());
    let made = make_form(&folder, Form::Int8);
    assert_eq!((made.form, made.products), (Form::Int8, 2));
    assert!(made.deviation > 1e-5 && made.deviation < 0.05, "{}", made.deviation);
    let (form, fast) = run(&folder);
    assert_eq!((form, copied(&folder)), (Some(Form::Int8), 0));
    assert!(fast != plain && check::deviation(&fast, &plain) < 0.05);
    let again = optimize(&model(&folder), &OptimizeOptions::default()).unwrap();
    assert_eq!(again, Outcome::Present(made.clone()));
    let bundle = &crate::scan(folder.path()).unwrap()[0];
    assert_eq!((bundle.optimized, forms(bundle)), (Some(Form::Int8), vec![made.clone()]));
    assert_eq!(stored(&folder).len(), 1);
    #[cfg(unix)]
    for file in fs::read_dir(&made.folder).unwrap() {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn floats_are_the_same_and_replace_what_was_there() {
    let folder = folder_with(convolution_module());
    let (_, plain) = run(&folder);
    make_form(&folder, Form::Int8);
    let made = make_form(&folder, Form::Fp32);
    assert_eq!((made.form, made.products), (Form::Fp32, 0));
    let (form, fast) = run(&folder);
    assert_eq!((form, stored(&folder).len()), (Some(Form::Fp32), 1));
    let largest = fast.iter().zip(&plain).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(largest < 1e-5, "{largest}");
}

/// Sees that `rewrite` changes what `graph` is and not what it computes, for windows of several lengths.
fn check_same(graph: Graph, rewrite: fn(&mut Graph) -> usize, what: &str) {
    let bytes = graph.into_bytes();
    let again = || Graph::parse(bytes.clone().into()).unwrap();
    let (plain, mut rewritten) = (folder_with(again()), again());
    assert_eq!(rewrite(&mut rewritten), 1, "{what}");
    let changed = folder_with(rewritten);
    for frames in [1, 4, 5, 97, 200] {
        let (found, expected) = (run_on(&changed, frames).1, run_on(&plain, frames).1);
        let deviation = check::deviation(&found, &expected);
        assert!(deviation < 1e-5, "{what}, {frames} mel frames: {deviation}");
    }
}

#[test]
fn attention_as_one_operator_computes_the_same() {
    check_same(attention_module(Written::Plainly), attention::merge, "plainly");
    check_same(attention_module(Written::InSteps), attention::merge, "in steps");
}

#[test]
fn convolutions_as_matrix_products_compute_the_same() {
    for (stride, kernel, pads) in
        [(2, 5, [2, 2]), (2, 5, [1, 2]), (2, 4, [1, 1]), (3, 5, [1, 1]), (3, 3, [0, 0]), (1, 5, [2, 2])]
    {
        let graph = strided_convolution(stride, kernel, pads);
        check_same(graph, unfold::to_matrix_products, &format!("{kernel} frames by {stride}, {pads:?}"));
    }
}

/// Changes a form and sees that loading makes another one in its place.
fn check_made_anew(change: impl FnOnce(&Path)) {
    let folder = folder_with(convolution_module());
    let made = make_form(&folder, Form::Int8);
    let (_, expected) = run(&folder);
    change(&made.folder);
    assert_eq!(run(&folder), (Some(Form::Int8), expected));
    assert!(!made.folder.exists() || stored(&folder).len() == 2, "{:?}", stored(&folder));
    let newest = optimize(&model(&folder), &OptimizeOptions::default()).unwrap();
    assert!(matches!(newest, Outcome::Present(form) if form.folder != made.folder));
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[test]
fn what_is_broken_is_made_anew() {
    for name in ["encoder.onnx", WEIGHTS, "expected", "note"] {
        check_made_anew(|folder| fs::remove_file(folder.join(name)).unwrap());
        check_made_anew(|folder| edit(&folder.join(name), |bytes| bytes.truncate(bytes.len() / 2)));
        check_made_anew(|folder| edit(&folder.join(name), |bytes| bytes.fill(b'7')));
    }
}

#[test]
fn what_was_made_for_another_machine_is_made_anew() {
    let other = |folder: &Path| {
        edit(&folder.join("note"), |note| {
            let text = String::from_utf8(std::mem::take(note)).unwrap();
            *note = text.replace("\nkey rewrite", "\nkey other").into_bytes();
        });
    };
    check_made_anew(other);
}

#[test]
fn a_changed_source_is_noticed() {
    let folder = folder_with(convolution_module());
    let made = make_form(&folder, Form::Int8);
    // The same bytes at another time are the same source.
    let path = folder.path().join(ENCODER);
    let earlier = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    fs::File::options().write(true).open(&path).unwrap().set_modified(earlier).unwrap();
    assert_eq!(run(&folder).0, Some(Form::Int8));
    assert!(made.folder.exists());
    // As many other bytes are not.
    let mut changed = convolution_module();
    let shift = changed.body.initializer.iter_mut().find(|tensor| tensor.name() == "shift").unwrap();
    *shift = TensorProto::of_floats("shift", &[64], &[0.7; 64]);
    fs::write(&path, changed.into_bytes()).unwrap();
    let (form, fast) = run(&folder);
    assert_eq!((form, made.folder.exists(), stored(&folder).len()), (Some(Form::Int8), false, 1));
    fs::remove_dir_all(folder.path().join(store::FOLDER)).unwrap();
    let (none, plain) = run(&folder);
    assert!(none.is_none() && check::deviation(&fast, &plain) < 0.05);
}

#[test]
fn too_far_off_in_8_bits_it_stays_in_floats() {
    let mut graph = convolution_module();
    // One channel is loud and counts for nothing; beside it the others are rounded away.
    let mut loud = [1.0; 64];
    loud[0] = 1e6;
    graph.body.initializer.push(TensorProto::of_floats("loud", &[64, 1], &loud));
    let at = graph.body.node.iter().position(|node| node.output == ["c1"]).unwrap();
    graph.body.node[at].input[0] = "louder".into();
    graph.body.node.insert(at, NodeProto::of("Mul", ["channels", "loud"], "louder"));
    let weight = graph.body.initializer.iter_mut().find(|tensor| tensor.name() == "w1").unwrap();
    let mut raw = weight.raw_data.take().unwrap().to_vec();
    raw.chunks_exact_mut(64 * 4).for_each(|row| row[..4].fill(0));
    weight.raw_data = Some(raw.into());
    let folder = folder_with(graph);
    let made = make_form(&folder, Form::Int8);
    assert_eq!((made.form, made.products), (Form::Fp32, 0));
    assert_eq!((run(&folder).0, stored(&folder).len()), (Some(Form::Fp32), 1));
}

#[test]
fn a_graph_that_is_refused_runs_as_it_is() {
    let check = |graph: Graph, expected: Refusal| {
        let folder = folder_with(graph);
        let outcome = optimize(&model(&folder), &OptimizeOptions::default()).unwrap();
        assert_eq!(outcome, Outcome::Refused(expected.clone()));
        assert_eq!((run(&folder).0, stored(&folder)), (None, Vec::<String>::new()));
        // Also where there is no plain one beside it.
        fs::rename(folder.path().join(ENCODER), folder.path().join("v3_rnnt_encoder.int8.onnx")).unwrap();
        let outcome = optimize(&model(&folder), &OptimizeOptions::default()).unwrap();
        assert_eq!(outcome, Outcome::Refused(expected));
    };
    let mut plain = convolution_module();
    plain.body.node.retain(|node| node.op_type() != "Conv" || node.output == ["c2"]);
    let mut ends = vec![NodeProto::of("Identity", ["silu"], "encoded")];
    let doubled = NodeProto::of("Concat", ["channels", "channels"], "c1");
    ends.push(doubled.with(AttributeProto::integer("axis", 1)));
    plain.body.node.splice(plain.body.node.len().., ends);
    plain.body.node.sort_by_key(|node| node.output == ["encoded"]);
    let at = plain.body.node.iter().position(|node| node.output == ["c1"]).unwrap();
    let doubled = plain.body.node.remove(at);
    let split = plain.body.node.iter().position(|node| node.op_type() == "Split").unwrap();
    plain.body.node.insert(split, doubled);
    check(plain, Refusal::NoProducts);
}

#[test]
fn without_a_place_the_model_runs_as_it_is() {
    let folder = folder_with(convolution_module());
    let made = make_form(&folder, Form::Int8);
    fs::rename(&made.folder, folder.path().join("form")).unwrap();
    fs::remove_dir_all(folder.path().join(store::FOLDER)).unwrap();
    fs::write(folder.path().join(store::FOLDER), "in the way").unwrap();
    let error = optimize(&model(&folder), &OptimizeOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    assert_eq!(run(&folder).0, None);
    let spec = model(&folder).resolve().unwrap();
    assert!(open(&spec, &LoadOptions::default(), true).is_none());
    let error = optimize(&memory(), &OptimizeOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
}

fn memory() -> Model {
    let several = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/models/several");
    Model::bytes(crate::ModelBytes {
        variant: Variant::Ctc,
        encoder: fs::read(several.join("v3_ctc.onnx")).unwrap().into(),
        decoder: None,
        joint: None,
        vocab: fs::read(several.join("v3_vocab.txt")).unwrap().into(),
    })
}

#[test]
fn of_two_that_want_a_form_one_makes_it() {
    let folder = folder_with(convolution_module());
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let work = || optimize(&model(&folder), &OptimizeOptions::default()).unwrap();
        let both = [scope.spawn(work), scope.spawn(work)];
        both.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(outcomes.iter().any(|outcome| matches!(outcome, Outcome::Made(_))), "{outcomes:?}");
    assert!(outcomes.iter().any(|outcome| matches!(outcome, Outcome::Present(_))), "{outcomes:?}");
    assert_eq!(stored(&folder).len(), 1);
}

#[test]
fn what_nothing_uses_is_found() {
    let folder = folder_with(convolution_module());
    assert_eq!(leftovers(folder.path()), []);
    let made = make_form(&folder, Form::Int8);
    assert_eq!(leftovers(folder.path()), []);
    let unfinished = folder.path().join(store::FOLDER).join("v3_rnnt_encoder.7.part");
    fs::create_dir(&unfinished).unwrap();
    fs::write(unfinished.join("encoder.onnx"), "12345").unwrap();
    assert_eq!(leftovers(folder.path()), [(unfinished.clone(), 5)]);
    // The next one that is made sweeps it away.
    optimize(&model(&folder), &OptimizeOptions { again: true, ..OptimizeOptions::default() }).unwrap();
    assert!(!unfinished.exists() && !made.folder.exists());
    // Of one machine the newest is used, whatever made the others; another machine has one of its own.
    let earlier = made_earlier(&folder, "\nkey rewrite", "\nkey earlier");
    let elsewhere = made_earlier(&folder, "; cpu; ", "; cpu; other ");
    assert!(earlier.exists() && elsewhere.exists());
    let left: Vec<_> = leftovers(folder.path()).into_iter().map(|(path, _)| path).collect();
    assert_eq!(left, [earlier]);
    fs::remove_file(folder.path().join(ENCODER)).unwrap();
    assert_eq!(leftovers(folder.path()).len(), 3);
}

/// Makes a form anew and gives the one before another key.
fn made_earlier(folder: &tempfile::TempDir, from: &str, to: &str) -> PathBuf {
    let old = store::of(&folder.path().join(ENCODER)).swap_remove(0).folder;
    let name = old.file_name().unwrap().to_str().unwrap();
    let renamed = old.with_file_name(name.replace(".int8.", &format!(".int8.{}", to.len())));
    fs::rename(&old, &renamed).unwrap();
    edit(&renamed.join("note"), |note| {
        let text = String::from_utf8(std::mem::take(note)).unwrap();
        assert!(text.contains(from), "{text}");
        *note = text.replace(from, to).into_bytes();
    });
    make_form(folder, Form::Int8);
    renamed
}

/// Fails when a form is written without what it keeps, or when only the worker that validates it can make steps.
#[test]
#[cfg(feature = "embedded-model")]
fn a_form_keeps_what_it_has_computed() {
    let folder = tempfile::tempdir().unwrap();
    let embedded = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/embedded");
    for part in ["encoder", "decoder", "joint"] {
        let [from, to] = [".int8w", ""].map(|suffix| format!("v3_e2e_rnnt_{part}{suffix}.onnx"));
        fs::copy(embedded.join(from), folder.path().join(to)).unwrap();
    }
    fs::copy(embedded.join("v3_e2e_rnnt_vocab.txt"), folder.path().join("v3_e2e_rnnt_vocab.txt")).unwrap();
    optimize(&Model::dir(folder.path()), &OptimizeOptions::default()).unwrap();
    let options = LoadOptions { keeping: true, ..LoadOptions::default() };
    let (network, info) = load(&Model::dir(folder.path()), &options).unwrap();
    assert_eq!((info.optimized, network.kept().is_some()), (Some(Form::Int8), true));
    for mut lane in [network.lane().unwrap(), network.lane().unwrap()] {
        let mut past = Past::new(64);
        let encoded = lane
            .step(&mut [Step { mel: &[-5.0; 80 * MELS], frames: 12, past: &mut past }], &Interrupt::default())
            .unwrap();
        assert_eq!((encoded.frames, past.frames(), past.kept()), (20, 12, 12));
    }
}
