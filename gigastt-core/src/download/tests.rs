//! Fetching from a hub on this machine that does what it should not.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use sha2::{Digest as _, Sha256};

use super::*;

const VOCAB: &str = "v3_vocab.txt";
const GRAPH: &str = "v3_ctc.onnx";
const VOCAB_BYTES: usize = 1_000;
const GRAPH_BYTES: usize = 300_000;

/// What a hub does with one request. After the last one it does what it should.
#[derive(Debug, Clone)]
enum Act {
    Good,
    /// Ends the connection after so many bytes of the body.
    Cut(usize),
    /// Sends nothing more after so many bytes of the body.
    Stall(usize),
    /// Nothing is sent more after so many bytes of the body, which is told by the channel.
    Hold(usize, Sender<String>),
    /// Goes on after so many bytes of the body, which is told by the channel, when the other one says so.
    Gate(usize, Sender<String>, Arc<Mutex<Receiver<()>>>),
    /// One bit is another one.
    Corrupt,
    /// Answers with the whole file, whatever was asked for.
    Whole,
    /// Answers with a range that nobody asked for.
    OtherRange,
    /// Sends more than it says.
    Longer,
    /// Says that the file has so many bytes.
    Size(u64),
    /// Does not say how long the body is, and ends the connection after so many bytes.
    Unsized(usize),
    /// A body in chunks, which ends before its last one after so many bytes.
    Chunks(usize),
    /// Points to another address of the hub, so many times.
    Redirect(u32),
    /// Only a status, with headers.
    Status(u16, &'static str),
    /// The file has become another one, with another tag.
    Other,
    /// Ends the connection without an answer, and the hub with it.
    Vanish,
    /// As `Good`, without a tag.
    Untagged,
}

/// A request: the file, the first byte, and whether it was only wanted if unchanged.
type Asked = (String, u64, bool);

struct Hub {
    address: SocketAddr,
    acts: Arc<Mutex<Vec<Act>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    gone: Arc<AtomicBool>,
}

/// What the threads of a hub share.
struct Shelf {
    files: Vec<(String, Vec<u8>)>,
    /// The last one is done first.
    acts: Arc<Mutex<Vec<Act>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    gone: Arc<AtomicBool>,
}

impl Hub {
    fn start(files: &[(&str, &[u8])], acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, gone) = <(Arc<Mutex<Vec<Asked>>>, Arc<AtomicBool>)>::default();
        let acts = Arc::new(Mutex::new(acts.into_iter().rev().collect()));
        let shelf = Arc::new(Shelf {
            files: files.iter().map(|(name, bytes)| ((*name).into(), bytes.to_vec())).collect(),
            acts: Arc::clone(&acts),
            asked: Arc::clone(&asked),
            gone: Arc::clone(&gone),
        });
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shelf.gone.load(Ordering::SeqCst) {
                    return;
                }
                let shelf = Arc::clone(&shelf);
                // A client that goes away in the middle is part of what is tested.
                std::thread::spawn(move || drop(shelf.serve(&stream.unwrap())));
            }
        });
        Self { address, acts, asked, gone }
    }

    fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    fn asked(&self) -> Vec<(String, u64)> {
        self.asked.lock().unwrap().iter().map(|(file, from, _)| (file.clone(), *from)).collect()
    }

    fn vanish(gone: &AtomicBool, address: SocketAddr) {
        gone.store(true, Ordering::SeqCst);
        // Wakes the listener, which ends then.
        drop(TcpStream::connect(address));
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        Self::vanish(&self.gone, self.address);
    }
}

impl Shelf {
    fn serve(&self, mut stream: &TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        loop {
            let mut lines = Vec::new();
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line)? == 0 {
                    return Ok(());
                }
                match line.trim() {
                    "" => break,
                    line => lines.push(line.to_owned()),
                }
            }
            let path = lines[0].split(' ').nth(1).unwrap().to_owned();
            let header = |name: &str| {
                let find = |line: &String| {
                    Some(line.split_once(": ")?)
                        .filter(|(n, _)| n.eq_ignore_ascii_case(name))
                        .map(|(_, v)| v.to_owned())
                };
                lines.iter().find_map(find)
            };
            let range = header("range");
            let from: u64 = range
                .as_deref()
                .map_or(0, |r| r.strip_prefix("bytes=").unwrap().trim_end_matches('-').parse().unwrap());
            let if_range = header("if-range");
            if let Some(left) = path.strip_prefix("/elsewhere/") {
                let (left, file) = left.split_once('/').unwrap();
                match left.parse::<u32>().unwrap() {
                    0 => self.answer(stream, &Act::Good, file, from, if_range.as_deref())?,
                    left => redirect(stream, left - 1, file)?,
                }
                continue;
            }
            let prefix = "/istupakov/gigaam-v3-onnx/resolve/main/";
            let file = path.strip_prefix(prefix).unwrap_or_else(|| panic!("{path}")).to_owned();
            self.asked.lock().unwrap().push((file.clone(), from, if_range.is_some()));
            let act = self.acts.lock().unwrap().pop().unwrap_or(Act::Good);
            match act {
                Act::Redirect(times) => redirect(stream, times - 1, &file)?,
                Act::Status(status, headers) => {
                    write!(stream, "HTTP/1.1 {status} X\r\n{headers}Content-Length: 0\r\n\r\n")?;
                }
                Act::Vanish => {
                    Hub::vanish(&self.gone, stream.local_addr()?);
                    return Ok(());
                }
                act => {
                    self.answer(stream, &act, &file, from, if_range.as_deref())?;
                    if !matches!(act, Act::Good | Act::Untagged | Act::Corrupt | Act::Whole | Act::Other) {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn answer(
        &self,
        mut stream: &TcpStream,
        act: &Act,
        file: &str,
        from: u64,
        if_range: Option<&str>,
    ) -> std::io::Result<()> {
        let Some((_, content)) = self.files.iter().find(|(name, _)| name == file) else {
            return write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        };
        let mut content = content.clone();
        let mut tag = "\"first\"";
        if matches!(act, Act::Other) {
            content.iter_mut().for_each(|byte| *byte ^= 1);
            tag = "\"second\"";
        }
        let unchanged = if_range.is_none_or(|wanted| wanted == tag);
        let total = content.len() as u64;
        let from = if unchanged && !matches!(act, Act::Whole) { from } else { 0 };
        if from >= total && from > 0 {
            return write!(
                stream,
                "HTTP/1.1 416 X\r\nContent-Range: bytes */{total}\r\nContent-Length: 0\r\n\r\n"
            );
        }
        let mut body = content.split_off(from as usize);
        if matches!(act, Act::Corrupt) {
            *body.last_mut().unwrap() ^= 1;
        }
        let mut head = match (act, from) {
            (Act::OtherRange, _) => {
                format!("HTTP/1.1 206 X\r\nContent-Range: bytes 7-{}/{total}\r\n", total - 1)
            }
            (_, 0) => "HTTP/1.1 200 OK\r\n".into(),
            (_, from) => format!("HTTP/1.1 206 X\r\nContent-Range: bytes {from}-{}/{total}\r\n", total - 1),
        };
        if !matches!(act, Act::Untagged) {
            head += &format!("ETag: {tag}\r\n");
        }
        match act {
            Act::Unsized(_) => head += "Connection: close\r\n",
            Act::Chunks(_) => head += "Transfer-Encoding: chunked\r\n",
            Act::Size(size) => head += &format!("Content-Length: {size}\r\n"),
            _ => head += &format!("Content-Length: {}\r\n", body.len()),
        }
        write!(stream, "{head}\r\n")?;
        match act {
            Act::Cut(n) | Act::Unsized(n) => stream.write_all(&body[..*n.min(&body.len())]),
            Act::Chunks(n) => {
                let n = *n.min(&body.len());
                write!(stream, "{n:x}\r\n")?;
                stream.write_all(&body[..n])?;
                let end = if n == body.len() { "\r\n0\r\n\r\n" } else { "\r\n" };
                stream.write_all(end.as_bytes())
            }
            Act::Stall(n) => {
                stream.write_all(&body[..*n.min(&body.len())])?;
                until_closed(stream)
            }
            Act::Hold(n, told) => {
                let sent = stream.write_all(&body[..*n.min(&body.len())]);
                told.send(file.into()).unwrap();
                sent?;
                until_closed(stream)
            }
            Act::Gate(n, told, go_on) => {
                stream.write_all(&body[..*n])?;
                told.send(file.into()).unwrap();
                go_on.lock().unwrap().recv().unwrap();
                stream.write_all(&body[*n..])
            }
            Act::Longer => {
                stream.write_all(&body)?;
                stream.write_all(b"and more")
            }
            _ => stream.write_all(&body),
        }
    }
}

fn redirect(mut stream: &TcpStream, left: u32, file: &str) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 302 X\r\nLocation: /elsewhere/{left}/{file}\r\nContent-Length: 0\r\n\r\n")
}

/// Waits until the other end closes.
fn until_closed(mut stream: &TcpStream) -> std::io::Result<()> {
    while stream.read(&mut [0; 1_000])? > 0 {}
    Ok(())
}

/// Bytes that look like none of their neighbours.
fn noise(seed: u64, n: usize) -> Vec<u8> {
    let mut state = seed * 2 + 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(&mut next).take(n).collect()
}

fn sum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn contents(graph_bytes: usize) -> [(&'static str, Vec<u8>); 2] {
    [(VOCAB, noise(1, VOCAB_BYTES)), (GRAPH, noise(2, graph_bytes))]
}

/// The model of two files whose sums are known, or that of the graph is not.
fn model(graph_bytes: usize, known: bool) -> Pretrained {
    let file = |(name, bytes): (&'static str, Vec<u8>)| RemoteFile {
        name,
        sha256: (known || name == VOCAB).then(|| &*sum(&bytes).leak()),
        bytes_about: None,
        bytes_max: bytes.len() as u64 + 100,
    };
    let files = contents(graph_bytes).map(file).to_vec().leak();
    Pretrained { files, ..*Pretrained::find("ctc").unwrap() }
}

/// A hub, a models folder, and what the fetching said.
struct Case {
    hub: Hub,
    folder: tempfile::TempDir,
    model: Pretrained,
    options: FetchOptions,
    waits: Mutex<Vec<u64>>,
}

impl Case {
    fn new(acts: Vec<Act>) -> Self {
        Self::of(acts, GRAPH_BYTES, true)
    }

    fn of(acts: Vec<Act>, graph_bytes: usize, known: bool) -> Self {
        let files = contents(graph_bytes);
        let hub = Hub::start(&files.each_ref().map(|(name, bytes)| (*name, &**bytes)), acts);
        let folder = tempfile::tempdir().unwrap();
        // Only who waits for a hub that says nothing more is impatient: on a busy machine the others do, too.
        let silent = hub.acts.lock().unwrap().iter().any(|act| matches!(act, Act::Stall(_)));
        let options = FetchOptions {
            hub: Some(hub.url()),
            stall: if silent { Duration::from_millis(500) } else { Duration::from_secs(100) },
            trust: if known { Trust::Sums } else { Trust::Hub },
            ..FetchOptions::new(folder.path())
        };
        Self { hub, folder, model: model(graph_bytes, known), options, waits: Mutex::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(self.model.name()).join(name)
    }

    fn have(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.path(name)).ok()
    }

    /// Fetches, without waiting between attempts.
    fn fetch(&self) -> Result<PathBuf> {
        self.fetch_hearing(&mut |_| ())
    }

    fn fetch_hearing(&self, event: &mut dyn FnMut(FetchEvent<'_>)) -> Result<PathBuf> {
        let hooks = FetchHooks { event: Some(event), canceller: None };
        let result = fetch_with(&self.model, &self.options, hooks, &|_, wait| {
            self.waits.lock().unwrap().push(wait.as_secs());
        });
        self.nothing_wrong_is_installed();
        result
    }

    fn nothing_wrong_is_installed(&self) {
        for (file, (_, bytes)) in self.model.files.iter().zip(contents(self.graph_bytes())) {
            let found = self.have(file.name);
            assert!(
                file.sha256.is_none() || found.is_none_or(|found| found == bytes),
                "{} is wrong",
                file.name
            );
        }
    }

    fn graph_bytes(&self) -> usize {
        self.model.files[1].bytes_max as usize - 100
    }

    #[track_caller]
    fn is_installed(&self) {
        let files = contents(self.graph_bytes());
        for (name, bytes) in &files {
            assert!(self.have(name).as_ref() == Some(bytes), "{name}: {:?}", self.hub.asked());
        }
        let mut names: Vec<_> = entries(&self.folder.path().join(self.model.name())).unwrap();
        names.retain(|path| {
            !path.ends_with(VOCAB) && !path.ends_with(GRAPH) && !path.ends_with("config.json")
        });
        assert_eq!(names, [] as [PathBuf; 0]);
        assert!(String::from_utf8(self.have("config.json").unwrap()).unwrap().contains("\"v3\""));
    }
}

/// The vocabulary comes as it should and then the hub does `acts` with the graph; wants it installed, asked
/// for from these bytes on, after these waits.
#[track_caller]
fn check(acts: &[Act], from: &[u64], waits: &[u64]) {
    let case = Case::new([&[Act::Good], acts].concat());
    let folder = case.fetch().unwrap_or_else(|e| panic!("{acts:?}: {e}"));
    assert_eq!(folder, case.folder.path().join("gigaam-v3-ctc"));
    case.is_installed();
    let asked: Vec<_> =
        case.hub.asked().into_iter().filter(|(file, _)| file == GRAPH).map(|(_, from)| from).collect();
    assert_eq!(asked, from, "{acts:?}");
    assert_eq!(*case.waits.lock().unwrap(), waits, "{acts:?}");
}

#[test]
fn a_model_is_fetched() {
    check(&[], &[0], &[]);
    check(&[Act::Redirect(1)], &[0], &[]);
    check(&[Act::Redirect(5)], &[0], &[]);
    check(&[Act::Chunks(GRAPH_BYTES)], &[0], &[]);
    check(&[Act::Unsized(GRAPH_BYTES)], &[0], &[]);
    check(&[Act::Longer], &[0], &[]);
}

#[test]
fn what_was_cut_off_is_resumed() {
    check(&[Act::Cut(100_000)], &[0, 100_000], &[1]);
    check(&[Act::Cut(0), Act::Cut(1), Act::Cut(1), Act::Cut(5)], &[0, 0, 1, 2, 7], &[1, 2, 4, 8]);
    check(&[Act::Chunks(100_000)], &[0, 100_000], &[1]);
    check(&[Act::Stall(100_000)], &[0, 100_000], &[1]);
    check(&[Act::Stall(0)], &[0, 0], &[1]);
    check(&[Act::Cut(100_000), Act::Redirect(2)], &[0, 100_000], &[1]);
}

#[test]
fn what_is_wrong_is_fetched_again_from_its_start() {
    check(&[Act::Corrupt], &[0, 0], &[1]);
    check(&[Act::Cut(100_000), Act::Corrupt], &[0, 100_000, 0], &[1, 2]);
    check(&[Act::Cut(100_000), Act::OtherRange], &[0, 100_000, 0], &[1, 2]);
    check(&[Act::Cut(100_000), Act::Whole], &[0, 100_000], &[1]);
    check(&[Act::Cut(100_000), Act::Status(416, "")], &[0, 100_000, 0], &[1, 2]);
    // Without a length its end is where the connection ends, and only the sum tells.
    check(&[Act::Unsized(100_000)], &[0, 0], &[1]);
}

#[test]
fn a_hub_that_is_busy_is_asked_again_when_it_says() {
    check(&[Act::Status(503, "Retry-After: 7\r\n")], &[0, 0], &[7]);
    check(&[Act::Status(429, "Retry-After: 0\r\n"), Act::Status(500, "")], &[0, 0, 0], &[1, 2]);
    let date = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:50:07 GMT\r\n";
    check(&[Act::Status(429, date)], &[0, 0], &[30]);
}

/// The hub does `acts` with the graph; wants this kind of error, these words in it, and so many bytes kept.
#[track_caller]
fn check_error(acts: &[Act], kind: ErrorKind, words: &str, kept: Option<u64>) {
    let case = Case::new([&[Act::Good], acts].concat());
    let error = case.fetch().unwrap_err();
    assert_eq!(error.kind(), kind, "{acts:?}: {error}");
    assert!(error.to_string().contains(words), "{acts:?}: {error}");
    assert_eq!(case.have(GRAPH), None);
    let part = fs::metadata(case.path("v3_ctc.onnx.part")).ok().map(|part| part.len());
    assert_eq!(part, kept, "{acts:?}");
    // The hub has come to its senses, and then all is well.
    if acts.iter().all(|act| !matches!(act, Act::Vanish)) {
        case.hub.asked.lock().unwrap().clear();
        case.fetch().unwrap();
        case.is_installed();
        assert_eq!(case.hub.asked(), [(GRAPH.into(), kept.unwrap_or(0))]);
    }
}

#[test]
fn what_does_not_pass_ends_in_an_error_that_says_the_next_step() {
    use ErrorKind::{InvalidModel, Network};
    check_error(&vec![Act::Status(503, ""); 6], Network, "answers 503; given up after 6 attempts", Some(0));
    check_error(&[Act::Status(429, "Retry-After: 3600\r\n")], Network, "wait for 3600 s", Some(0));
    check_error(&[Act::Status(404, "")], Network, "GIGASTT_HUB", Some(0));
    check_error(&[Act::Status(403, "")], Network, "HTTPS_PROXY", Some(0));
    check_error(&[Act::Cut(9), Act::Status(410, "")], Network, "does not have it", Some(9));
    check_error(&[Act::Redirect(50)], Network, "redirect", Some(0));
    check_error(&[Act::Corrupt, Act::Corrupt], InvalidModel, "found", None);
    check_error(&[Act::Size(GRAPH_BYTES as u64 + 101)], InvalidModel, "at most 300100 bytes", Some(0));
    let mut cuts = vec![Act::Cut(10); 6];
    check_error(&cuts, Network, "60 bytes are kept", Some(60));
    cuts[2] = Act::Vanish;
    check_error(&cuts, Network, "20 bytes are kept", Some(20));
    let stalls = vec![Act::Stall(10); 6];
    check_error(&stalls, Network, "60 bytes are kept", Some(60));
}

#[test]
fn an_endless_body_is_refused() {
    let mut case = Case::new(vec![Act::Good, Act::Unsized(GRAPH_BYTES)]);
    let files = case.model.files.to_vec().leak();
    files[1].bytes_max = 1_000;
    case.model.files = files;
    let error = fetch(&case.model, &case.options, FetchHooks::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidModel, "{error}");
    assert!(fs::metadata(case.path("v3_ctc.onnx.part")).unwrap().len() <= 1_000);
}

#[test]
fn what_an_earlier_process_left_is_used_if_it_is_right() {
    let whole = &contents(GRAPH_BYTES)[1].1;
    let longer = [whole, &b"x"[..]].concat();
    let spoilt = noise(3, 1_000);
    for (left, asked) in
        [(&whole[..5_000], &[5_000][..]), (whole, &[]), (&longer, &[300_001, 0]), (&spoilt, &[1_000, 0])]
    {
        let case = Case::new(vec![]);
        fs::create_dir_all(case.path("")).unwrap();
        fs::write(case.path("v3_ctc.onnx.part"), left).unwrap();
        case.fetch().unwrap();
        case.is_installed();
        let expected: Vec<_> =
            [(VOCAB.into(), 0)].into_iter().chain(asked.iter().map(|from| (GRAPH.into(), *from))).collect();
        assert_eq!(case.hub.asked(), expected);
    }
}

#[test]
fn what_is_installed_stays_unless_it_is_wrong() {
    let case = Case::new(vec![]);
    case.fetch().unwrap();
    fs::write(case.path("config.json"), "\"v3\" of the user").unwrap();
    case.fetch().unwrap();
    assert_eq!(case.hub.asked().len(), 2);
    fs::write(case.path(VOCAB), "damaged").unwrap();
    let result = fetch(&case.model, &case.options, FetchHooks::default());
    assert!(result.is_ok(), "{result:?}");
    case.is_installed();
    assert_eq!(case.hub.asked()[2..], [(VOCAB.into(), 0)]);
    assert_eq!(case.have("config.json").unwrap(), b"\"v3\" of the user");
}

#[test]
fn a_file_with_an_unknown_sum_is_only_fetched_when_that_was_asked_for() {
    let mut case = Case::of(vec![], GRAPH_BYTES, false);
    case.options.trust = Trust::Sums;
    let error = case.fetch().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.to_string().contains("--unverified gigaam-v3-ctc"), "{error}");
    assert_eq!(case.hub.asked(), []);
    assert!(!case.path("").exists());

    case.options.trust = Trust::Hub;
    let mut installed = Vec::new();
    case.fetch_hearing(&mut |event| {
        if let FetchEvent::Installed { file, bytes, sha256, verified } = event {
            installed.push((file.to_owned(), bytes, sha256.to_owned(), verified));
        }
    })
    .unwrap();
    case.is_installed();
    let [vocab, graph] = contents(GRAPH_BYTES);
    assert_eq!(
        installed,
        [(VOCAB.into(), 1_000, sum(&vocab.1), true), (GRAPH.into(), 300_000, sum(&graph.1), false)]
    );
}

#[test]
fn without_a_sum_only_an_unchanged_file_is_resumed() {
    let asked = |acts: &[Act]| {
        let case = Case::of([&[Act::Good], acts].concat(), GRAPH_BYTES, false);
        let result = case.fetch();
        let asked: Vec<_> =
            case.hub.asked.lock().unwrap()[1..].iter().map(|(_, from, tag)| (*from, *tag)).collect();
        (result.map(|_| case.have(GRAPH).unwrap() == contents(GRAPH_BYTES)[1].1), asked)
    };
    let (whole, requests) = asked(&[Act::Cut(9)]);
    assert_eq!((whole.unwrap(), requests), (true, vec![(0, false), (9, true)]));
    // The rest of another file is not appended: it comes whole.
    let (same, requests) = asked(&[Act::Cut(9), Act::Other]);
    assert_eq!((same.unwrap(), requests), (false, vec![(0, false), (9, true)]));
    let (whole, requests) = asked(&[Act::Untagged, Act::Good]);
    assert_eq!((whole.unwrap(), requests), (true, vec![(0, false)]));
    let (error, _) = asked(&[Act::Unsized(9)]);
    assert!(error.unwrap_err().to_string().contains("nothing tells whether it is whole"));
}

#[test]
fn offline_nothing_is_fetched() {
    let mut case = Case::new(vec![]);
    let hub = case.options.hub.take();
    let error = case.fetch().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ModelNotFound);
    assert!(error.to_string().contains("gigastt download gigaam-v3-ctc"), "{error}");
    assert_eq!(case.hub.asked(), []);
    case.options.hub = hub;
    case.fetch().unwrap();
    case.options.hub = None;
    case.fetch().unwrap();
}

#[test]
fn options_that_cannot_be_are_refused() {
    let mut case = Case::new(vec![]);
    for hub in ["", "ftp://example.org", "example.org", "https://", "http:///"] {
        case.options.hub = Some(hub.into());
        let error = case.fetch().unwrap_err();
        assert_eq!(
            (error.kind(), error.subject()),
            (ErrorKind::InvalidArgument, Some(HUB_VARIABLE)),
            "{hub}"
        );
    }
    case.options = FetchOptions { hub: Some(case.hub.url()), attempts: 0, ..case.options };
    assert_eq!(case.fetch().unwrap_err().subject(), Some("attempts"));
    let error = bring("whisper", None).unwrap_err();
    assert!(error.message().contains("gigaam-v3-e2e-rnnt, gigaam-v3-rnnt"), "{error}");
}

#[test]
fn progress_is_told() {
    let case = Case::of(vec![Act::Good, Act::Cut(1_500_000)], 3 << 20, true);
    let mut told = Vec::new();
    case.fetch_hearing(&mut |event| told.push(format!("{event:?}"))).unwrap();
    let graph: Vec<_> = told.iter().filter(|event| event.contains(GRAPH)).collect();
    let done = |event: &&&String| {
        event
            .starts_with("Bytes")
            .then(|| event.split("done: ").nth(1)?.split(',').next()?.parse::<u64>().ok())?
    };
    let bytes: Vec<_> = graph.iter().filter_map(|event| done(&event)).collect();
    assert!(bytes.is_sorted() && bytes.len() >= 5, "{told:?}");
    assert_eq!((bytes[0], *bytes.last().unwrap()), (0, 3 << 20));
    assert!(graph[0].starts_with("File"));
    assert_eq!(graph.iter().filter(|event| event.starts_with("Retry")).count(), 1);
    assert!(graph.last().unwrap().starts_with("Installed"), "{told:?}");
}

#[test]
fn it_can_be_cancelled_while_it_waits_and_while_it_reads() {
    let (told, stalled) = channel();
    let stalled = Mutex::new(stalled);
    for act in [Act::Hold(100_000, told), Act::Status(503, "Retry-After: 100\r\n")] {
        let case = Case::new(vec![Act::Good, act.clone()]);
        let canceller = Canceller::new();
        let error = std::thread::scope(|scope| {
            let mut event = |event: FetchEvent<'_>| {
                if matches!(event, FetchEvent::Retry { .. }) {
                    canceller.cancel();
                }
            };
            if matches!(act, Act::Hold(..)) {
                scope.spawn(|| {
                    stalled.lock().unwrap().recv().unwrap();
                    canceller.cancel();
                });
            }
            let hooks = FetchHooks { event: Some(&mut event), canceller: Some(&canceller) };
            fetch(&case.model, &case.options, hooks).unwrap_err()
        });
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        case.nothing_wrong_is_installed();
        case.fetch().unwrap();
        case.is_installed();
    }
}

#[test]
fn leftovers_are_those_that_nobody_fetches() {
    let case = Case::new(vec![Act::Good, Act::Cut(7), Act::Status(404, "")]);
    case.fetch().unwrap_err();
    let left = [Leftover { path: case.path("v3_ctc.onnx.part"), bytes: 7 }];
    assert_eq!(leftovers(case.folder.path()).unwrap(), left);

    let lock = File::open(case.folder.path().join(LOCKS).join("gigaam-v3-ctc")).unwrap();
    lock.lock().unwrap();
    assert_eq!(leftovers(case.folder.path()).unwrap(), []);
    assert_eq!(remove_leftovers(case.folder.path()).unwrap(), []);
    lock.unlock().unwrap();

    assert_eq!(remove_leftovers(case.folder.path()).unwrap(), left);
    assert!(case.path(VOCAB).exists());
    fs::remove_file(case.path(VOCAB)).unwrap();
    fs::write(case.path("v3_ctc.onnx.part"), "").unwrap();
    remove_leftovers(case.folder.path()).unwrap();
    assert!(!case.path("").exists());
    assert_eq!(leftovers(&case.folder.path().join("none")).unwrap(), []);
}

#[test]
fn an_installed_model_is_found_by_its_variant() {
    let folder = tempfile::tempdir().unwrap();
    let add = |name: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    };
    let found = || installed(folder.path(), Variant::Ctc).map(|path| path.file_name().unwrap().to_owned());
    add("a/v3_ctc.onnx");
    add("a/v3_e2e_ctc.onnx");
    assert_eq!(found(), None);
    add("a/v3_vocab.txt");
    assert_eq!(found().unwrap(), "a");
    add("gigaam-v3-ctc/v3_ctc.int8.onnx");
    add("gigaam-v3-ctc/v3_vocab.txt");
    assert_eq!(found().unwrap(), "gigaam-v3-ctc");
    assert_eq!(installed(folder.path(), Variant::E2eCtc), None);
}

/// The variable that makes this program a child that reads its environment: the hub it has to find.
const READER: &str = "GIGASTT_TEST_CHILD_EXPECTS";

/// What such a child does; without its variable this is not one.
#[test]
fn a_child_reads_its_environment() {
    let Ok(expected) = std::env::var(READER) else { return };
    let options = FetchOptions::new("given").hub_from_env();
    assert_eq!((options.folder, options.hub.unwrap_or_default()), ("given".into(), expected));
}

#[test]
fn the_hub_is_the_environments_and_a_folder_that_is_given_stays() {
    let check = |hub: &str, offline: &str, expected: &str| {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "download::tests::a_child_reads_its_environment"])
            .envs([(HUB_VARIABLE, hub), (OFFLINE_VARIABLE, offline), (READER, expected)])
            .stdout(Stdio::null())
            .status();
        assert!(child.unwrap().success(), "{hub:?}, {offline:?}");
    };
    check("", "", HUB);
    check("", "false", HUB);
    check("http://mirror", "0", "http://mirror");
    check("http://mirror", "1", "");
}

/// The variables that make this program a child that fetches.
const CHILD: [&str; 2] = ["GIGASTT_TEST_CHILD_HUB", "GIGASTT_TEST_CHILD_FOLDER"];
const CHILD_GRAPH_BYTES: usize = 4 << 20;

/// What a child does; without its variables this is not one.
#[test]
fn a_child_fetches() {
    let [Ok(hub), Ok(folder)] = CHILD.map(std::env::var) else { return };
    let options = FetchOptions { hub: Some(hub), ..FetchOptions::new(folder) };
    fetch(&model(CHILD_GRAPH_BYTES, true), &options, FetchHooks::default()).unwrap();
}

fn child(case: &Case) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "download::tests::a_child_fetches"])
        .envs(CHILD.into_iter().zip([case.hub.url(), case.folder.path().display().to_string()]))
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn two_processes_fetch_one_copy() {
    let (told, holds) = channel();
    let (release, released) = channel();
    let gate = Act::Gate(1 << 20, told, Arc::new(Mutex::new(released)));
    let case = Case::of(vec![Act::Good, gate], CHILD_GRAPH_BYTES, true);
    let mut first = child(&case);
    assert_eq!(holds.recv().unwrap(), GRAPH);
    // The first one is in the middle and goes on only when another one waits for it.
    let mut second = child(&case);
    let mut waiting = |event: FetchEvent<'_>| {
        if event == FetchEvent::Waiting {
            release.send(()).unwrap();
        }
    };
    let hooks = FetchHooks { event: Some(&mut waiting), canceller: None };
    fetch(&case.model, &case.options, hooks).unwrap();
    assert!(first.wait().unwrap().success() && second.wait().unwrap().success());
    case.is_installed();
    assert_eq!(case.hub.asked(), [(VOCAB.into(), 0), (GRAPH.into(), 0)]);
}

#[test]
fn killed_at_twenty_points_it_is_resumed() {
    let seed = 20_261_125;
    let case = Case::of(vec![], CHILD_GRAPH_BYTES, true);
    let files = contents(CHILD_GRAPH_BYTES);
    let (told, holds) = channel();
    let part = |name: &str| fs::read(case.path(&format!("{name}.part"))).unwrap_or_default();
    let mut expected = (VOCAB.to_owned(), 0);
    let mut resumed = 0;
    for (kill, random) in noise(seed, 80).chunks(4).enumerate() {
        let random = u32::from_le_bytes(random.try_into().unwrap()) as usize;
        let (graph, vocab) = (CHILD_GRAPH_BYTES - part(GRAPH).len(), case.have(VOCAB).is_none());
        let mut acts = case.hub.acts.lock().unwrap();
        // The first one in the small file, the others in the large one, where the last one stopped.
        *acts = match kill {
            0 => vec![Act::Hold(1 + random % (VOCAB_BYTES - 1), told.clone())],
            _ => vec![Act::Hold(1 + random % (graph - 1).min(CHILD_GRAPH_BYTES / 24), told.clone())],
        };
        if kill > 0 && vocab {
            acts.push(Act::Good);
        }
        drop(acts);
        let before = case.hub.asked().len();
        let mut running = child(&case);
        let file = holds.recv().unwrap();
        // Every second time when something has come, the other times wherever it is by then.
        let (had, mut waits) = (if file == expected.0 { expected.1 } else { 0 }, 0);
        while kill % 2 == 0 && part(&file).len() as u64 == had && waits < 10_000 {
            std::thread::sleep(Duration::from_millis(1));
            waits += 1;
        }
        running.kill().unwrap();
        running.wait().unwrap();

        assert_eq!(case.hub.asked()[before], expected, "seed {seed}, kill {kill}");
        case.nothing_wrong_is_installed();
        let left = part(&file);
        let (_, whole) = files.iter().find(|(name, _)| *name == file).unwrap();
        assert!(whole.starts_with(&left), "seed {seed}, kill {kill}");
        resumed += usize::from(!left.is_empty());
        expected = (file, left.len() as u64);
    }
    assert!(resumed >= 10, "seed {seed}: only {resumed} left something");
    case.fetch().unwrap();
    case.is_installed();
    assert_eq!(case.hub.asked().pop(), Some(expected), "seed {seed}");
}
