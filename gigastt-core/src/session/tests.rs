//! The session alone, with the scripted model in place of workers.

use super::*;
use crate::model::fake::{self, FRAME, FakeFrontEnd, amplitude};
use crate::{Error, ErrorKind};

/// `words` as a signal: each word lasts its number of frames; word 0 is silence.
fn signal(words: &[(u32, usize)]) -> Vec<f32> {
    words.iter().flat_map(|(word, frames)| std::iter::repeat_n(amplitude(*word), frames * FRAME)).collect()
}

/// A session with the scripted model at once behind it, unless told to hold windows back.
struct Bench {
    session: Session,
    events: Vec<Event>,
    held: Vec<Job>,
    hold: bool,
}

impl Bench {
    fn new(options: Options) -> Self {
        let session =
            Session::new(options, fake::vocab(), Box::<FakeFrontEnd>::default(), Pasts::new(1_000), 2);
        Self { session, events: Vec::new(), held: Vec::new(), hold: false }
    }

    fn push(&mut self, pcm: &[f32], chunk: usize) {
        for piece in pcm.chunks(chunk) {
            self.session.push(piece);
            self.turn();
        }
    }

    fn turn(&mut self) {
        while let Some(job) = self.session.next_job() {
            self.held.push(job);
            if !self.hold {
                self.release();
            }
        }
        while let Some(event) = self.session.next_event() {
            self.events.push(event);
        }
    }

    /// Serves the windows that were held back.
    fn release(&mut self) {
        for job in std::mem::take(&mut self.held) {
            self.session.accept(serve(job));
        }
    }

    fn finish(mut self) -> Vec<Event> {
        self.session.finish(Finish);
        self.hold = false;
        self.release();
        self.turn();
        self.events
    }
}

fn serve(mut job: Job) -> Reply {
    let heard = match &mut job.past {
        Some(past) => fake::hear_step(&job.mel.to_vec(), job.decode.len(), past),
        None => fake::hear(&job.mel.to_vec()),
    };
    let mut decoded = Decoded::default();
    let mut state = (*job.state).clone();
    fake::decode(&heard, job.decode.clone(), &mut state, &mut decoded.tokens);
    fake::decode(&heard, job.peek.clone(), &mut state.clone(), &mut decoded.peeked);
    job.state = Arc::new(state);
    Reply { job, result: Ok(decoded), encoder: Duration::ZERO }
}

fn finals(events: &[Event]) -> Vec<Final> {
    let text = |event: &Event| match event {
        Event::Final(text) => Some(text.clone()),
        _ => None,
    };
    events.iter().filter_map(text).collect()
}

fn texts(events: &[Event]) -> Vec<String> {
    finals(events).into_iter().map(|f| f.text).collect()
}

/// What a stream of `words` tells, with partials skipped.
fn events(options: Options, words: &[(u32, usize)]) -> Vec<Event> {
    let mut bench = Bench::new(options);
    bench.push(&signal(words), 320);
    bench.finish().into_iter().filter(|e| !matches!(e, Event::Partial(_))).collect()
}

/// One letter for each event that is no partial.
fn kinds(events: &[Event]) -> String {
    let letter = |event: &Event| match event {
        Event::SpeechStarted { .. } => "s",
        Event::Partial(_) => "",
        Event::Final(_) => "f",
        Event::End(_) => ".",
    };
    events.iter().map(letter).collect()
}

/// The finals of `words` under `rule`: same for every chunking, with and without partials.
fn check(rule: EndpointRule, words: &[(u32, usize)], expected: &[(&str, EndpointReason)]) {
    let pcm = signal(words);
    let mut first: Option<Vec<Final>> = None;
    for chunk in [pcm.len().max(1), 1, 160, 441, 8000] {
        for partials in [Some(Plan::default()), None] {
            let mut bench = Bench::new(Options { partials, ..Options::new(16_000).endpoint(rule.clone()) });
            bench.push(&pcm, chunk);
            let found = finals(&bench.finish());
            let told: Vec<_> = found.iter().map(|f| (f.text.as_str(), f.endpoint_reason)).collect();
            assert_eq!(told, expected, "chunk {chunk}, partials {partials:?}");
            assert_eq!(first.get_or_insert_with(|| found.clone()), &found, "chunk {chunk}");
        }
    }
}

use EndpointReason::{Finish, Length, Silence};

#[test]
fn an_utterance_ends_after_silence() {
    check(
        EndpointRule::dictation(),
        &[(0, 20), (1, 10), (2, 10), (0, 40), (5, 10), (0, 10)],
        &[("w1 w3", Silence), ("w5", Finish)],
    );
}

#[test]
fn a_short_pause_does_not_end_it() {
    check(EndpointRule::dictation(), &[(1, 10), (0, 15), (1, 10), (0, 9)], &[("w1 w2", Finish)]);
}

#[test]
fn silence_and_blips_make_no_words() {
    check(EndpointRule::dictation(), &[(0, 100), (7, 1), (0, 100)], &[]);
    check(EndpointRule::dictation(), &[], &[]);
}

#[test]
fn a_short_file_is_one_window_from_its_first_sample() {
    check(EndpointRule::file(), &[(0, 100), (1, 5), (0, 300), (2, 5), (0, 3)], &[("w1 w3", Finish)]);
}

#[test]
fn a_long_file_is_cut_in_its_best_pause_between_15_and_22_seconds() {
    // The longer of two pauses is at 16.0 to 16.8 s; the one at 20.8 s is shorter.
    check(
        EndpointRule::file(),
        &[(3, 400), (0, 20), (4, 100), (0, 5), (6, 300), (0, 9)],
        &[("w3", Length), ("w4 w7", Finish)],
    );
}

#[test]
fn manual_takes_everything_up_to_the_length_bound() {
    check(EndpointRule::manual(), &[(0, 30), (1, 10), (0, 30)], &[("w1", Finish)]);
    check(EndpointRule::manual(), &[(0, 550)], &[("", Finish)]);
    check(EndpointRule::manual(), &[(0, 551)], &[("", Length), ("", Finish)]);
}

#[test]
fn partials_lead_to_the_final() {
    let mut bench = Bench::new(Options::new(16_000));
    bench.push(&signal(&[(0, 10), (1, 20), (2, 20), (3, 20), (0, 40)]), 320);
    let partials: Vec<Partial> = bench
        .events
        .iter()
        .filter_map(|e| if let Event::Partial(p) = e { Some(p.clone()) } else { None })
        .collect();
    let newest = partials.last().unwrap();
    assert_eq!(newest.text, "w1 w3 w5");
    assert!(partials.windows(2).all(|p| p[0].revision < p[1].revision), "revisions grow");
    assert!(partials.iter().all(|p| !p.text.contains("999")), "edge frames are not shown");
    assert_eq!(texts(&bench.finish()), ["w1 w3 w5"]);
}

#[test]
fn the_pre_roll_is_kept_before_detected_speech() {
    // Speech lasts from 19,200 to 32,000; 300 ms before it, on the grid, and 320 ms after it are kept.
    let events = events(Options::new(16_000), &[(0, 30), (1, 20), (0, 40)]);
    let spans: Vec<Span> = finals(&events).iter().map(|f| f.span).collect();
    assert_eq!(spans, [Span { start: 14_080, end: 37_120 }]);
}

#[test]
fn an_utterance_starts_no_earlier_than_it_is_heard() {
    // The silence ends at sample 12,288, off the grid, so that the next utterance may start at 12,800.
    let rule = EndpointRule { gate: false, silence_ms: Some(320), ..EndpointRule::dictation() };
    check(rule, &[(1, 11), (0, 30), (2, 10), (0, 9)], &[("w1", Silence), ("w2", Silence)]);
}

#[test]
fn a_new_rule_looks_no_further_back_than_the_old_one_kept() {
    let silence = signal(&[(0, 1_000)]);
    let before = EndpointRule { pre_roll_ms: 0, ..EndpointRule::dictation() };
    let longer = EndpointRule { pre_roll_ms: 1_000, ..before.clone() };
    for rule in [EndpointRule::manual(), longer] {
        let mut bench = Bench::new(Options::new(16_000).endpoint(before.clone()));
        bench.push(&silence, 320);
        bench.session.set_endpoint(rule);
        bench.push(&signal(&[(1, 10), (0, 10)]), 320);
        let finals = finals(&bench.finish());
        let spans: Vec<Span> = finals.iter().map(|f| f.span).collect();
        assert_eq!(finals.len(), 1, "{spans:?}");
        assert_eq!((finals[0].text.as_str(), finals[0].span.start), ("w1", 640_000 - 640));
    }
}

#[test]
fn a_stricter_rule_takes_no_committed_text_back() {
    let options = Options::new(16_000).endpoint(EndpointRule::manual()).mode(Mode::Incremental);
    let mut bench = Bench::new(options);
    bench.push(&signal(&[(1, 50), (2, 50), (3, 50), (0, 10)]), 320);
    bench.session.set_endpoint(EndpointRule { utterance_max_ms: 1_000, ..EndpointRule::manual() });
    bench.push(&signal(&[(4, 20), (0, 5)]), 320);
    let finals = finals(&bench.finish());
    let told: Vec<_> = finals.iter().map(|f| (f.text.as_str(), f.endpoint_reason)).collect();
    assert_eq!(told, [("w1 w3 w5", Length), ("w4", Finish)]);
}

/// Promises 1 and 3. Fails when windows are cut from all that was heard.
#[test]
fn nothing_is_committed_beyond_the_length_bound() {
    let rule = EndpointRule { speech_ms: 1_400, pre_roll_ms: 1_000, ..EndpointRule::captions() };
    let rule = EndpointRule { utterance_max_ms: 1_000, cut_from_ms: 0, tail_min_ms: 0, ..rule };
    let words: Vec<(u32, usize)> = std::iter::once((0, 30)).chain((1..=10).map(|word| (word, 6))).collect();
    let told = |chunk| {
        let options = Options::new(16_000).endpoint(rule.clone()).mode(Mode::Incremental);
        let mut bench = Bench::new(options);
        bench.push(&signal(&words), chunk);
        finals(&bench.finish())
    };
    // The utterance opens with 2.4 s, the first of which it may keep.
    let whole = told(usize::MAX);
    assert_eq!(whole[0].span.samples(), 16_000);
    for chunk in [1, 160, 256, 441] {
        assert_eq!(told(chunk), whole, "chunk {chunk}");
    }
}

#[test]
fn mode_incremental_makes_no_whole_window_of_silence() {
    let options = Options::new(16_000).endpoint(EndpointRule::file()).mode(Mode::Incremental);
    assert_eq!(events(options, &[(0, 300)]), [Event::End(End::Finished)]);
}

#[test]
fn nothing_ends_before_the_first_speech() {
    let rule = EndpointRule { speech_ms: 16, ..EndpointRule::dictation() };
    let mut bench = Bench::new(Options::new(16_000).endpoint(rule));
    let pcm = signal(&[(0, 30), (1, 20), (0, 10)]);
    // One tick of speech was heard, all of it after the last grid point.
    bench.push(&pcm[..30 * FRAME + 256], 320);
    bench.session.force_endpoint();
    bench.push(&pcm[30 * FRAME + 256..], 320);
    let events = bench.finish();
    assert_eq!(kinds(&events), "sf.");
    assert_eq!(texts(&events), ["w1"]);
}

#[test]
fn without_a_pause_the_cut_is_where_speech_is_least_certain() {
    let mut endpointer = Endpointer::new(EndpointRule::dictation(), true);
    let mut cut = None;
    for tick in 0..1_500 {
        // A dip after 15 s, of the 12 to 22 s where the cut may be.
        endpointer.push(if (935..945).contains(&tick) { 0.8 } else { 0.9 });
        while let Some(mark) = endpointer.advance() {
            cut = cut.or(if let Mark::Cut { span, .. } = mark { span } else { None });
        }
    }
    let end = cut.unwrap().end / TICK;
    assert!((935..945).contains(&end), "cut at tick {end}");
}

#[test]
fn what_is_cut_off_before_its_speech_is_no_utterance() {
    // At the end there is too much audio for one utterance, and the best pauses are before the speech.
    let rule = EndpointRule {
        pre_roll_ms: 1_000,
        utterance_max_ms: 1_000,
        cut_from_ms: 0,
        tail_min_ms: 1_000,
        ..EndpointRule::dictation()
    };
    let events = events(Options::new(16_000).endpoint(rule), &[(0, 25), (1, 20), (0, 2)]);
    assert_eq!(kinds(&events), "sf.");
    assert_eq!(texts(&events), ["w1"]);
}

#[test]
fn steps_of_mode_incremental_lie_on_one_grid_whatever_is_heard_at_once() {
    let options = Options::new(16_000).endpoint(EndpointRule::manual()).mode(Mode::Incremental);
    let pcm = signal(&[(7, 110)]);
    let steps = |chunk: usize| {
        let (mut bench, mut steps) = (Bench::new(options.clone()), Vec::new());
        for piece in pcm.chunks(chunk) {
            bench.session.push(piece);
            while let Some(job) = bench.session.next_job() {
                let first = job.offset as usize;
                steps.push(first + job.decode.start..first + job.decode.end);
                bench.session.accept(serve(job));
            }
        }
        steps
    };
    let step = usize::from(Plan::default().step_min);
    let expected: Vec<_> = (0..10).map(|n| n * step..(n + 1) * step).collect();
    for chunk in [160, 8_000, pcm.len()] {
        assert_eq!(steps(chunk)[..10], expected, "{chunk} samples at once");
    }
}

/// Fails when a window of mode incremental is cut that a forced endpoint or a stricter rule would take back.
#[test]
fn a_forced_endpoint_leaves_the_grid_where_it_is() {
    let options = Options::new(16_000).endpoint(EndpointRule::manual()).mode(Mode::Incremental);
    let strict = EndpointRule { utterance_max_ms: 1_000, cut_from_ms: 0, ..EndpointRule::captions() };
    let pcm = signal(&[(7, 60)]);
    let ends: [&dyn Fn(&mut Session); 2] =
        [&|session| session.force_endpoint(), &|session| session.set_endpoint(strict.clone())];
    let steps = |heard: usize, end: &dyn Fn(&mut Session), waits: bool| {
        let (mut bench, mut steps) = (Bench::new(options.clone()), Vec::new());
        let cut = |bench: &mut Bench, steps: &mut Vec<_>| {
            while let Some(job) = bench.session.next_job() {
                let first = job.offset as usize;
                steps.push((job.utterance, first + job.decode.start..first + job.decode.end));
                bench.session.accept(serve(job));
            }
        };
        bench.session.push(&pcm[..heard]);
        if !waits {
            cut(&mut bench, &mut steps);
        }
        end(&mut bench.session);
        bench.session.push(&pcm[heard..]);
        bench.session.finish(Finish);
        cut(&mut bench, &mut steps);
        steps
    };
    for end in ends {
        for heard in (30 * FRAME..40 * FRAME).step_by(80) {
            assert_eq!(steps(heard, end, false), steps(heard, end, true), "{heard} samples heard");
        }
    }
}

#[test]
fn a_shortened_step_loses_its_newest_audio() {
    let mut bench = Bench::new(Options::new(16_000).endpoint(EndpointRule::manual()));
    bench.session.push(&signal(&[(7, 50)]));
    let mut job = bench.session.next_job().unwrap();
    let (mel, decode, peek) = (job.mel.len(), job.decode.clone(), job.peek.clone());
    assert!(job.past.is_some() && decode.len() > 5, "{decode:?}");
    job.shorten(decode.len() - 5);
    assert_eq!((job.decode.clone(), job.mel.len()), (decode.start..decode.end - 5, mel - 5 * STRIDE));
    assert_eq!(job.peek, peek.start - 5..peek.end - 5);
    bench.session.accept(serve(job));
    bench.turn();
    let heard = |event: &Event| match event {
        Event::Partial(partial) => Some(partial.decoded_ms),
        _ => None,
    };
    let told = bench.events.iter().find_map(heard).unwrap();
    let edge = usize::from(Plan::default().edge);
    assert_eq!(told as usize, 40 * (peek.end - 5 - edge));
}

#[test]
fn a_backlog_shorter_than_a_window_is_no_deadlock() {
    let plan = Plan { step_min: 64, right: 64, ..Plan::default() };
    let options = Options::new(16_000).endpoint(EndpointRule::manual()).mode(Mode::Incremental);
    let mut bench = Bench::new(Options { partials: Some(plan), backlog_ms: 1_000, ..options });
    for tick in signal(&[(1, 200), (2, 100), (0, 5)]).chunks(256) {
        assert!(bench.session.room() >= tick.len(), "nothing is out, so there is room");
        bench.push(tick, 256);
    }
    assert_eq!(texts(&bench.finish()), ["w1 w3"]);
}

#[test]
fn a_final_of_mode_incremental_never_claims_a_second_pass() {
    let options = Options::new(16_000).endpoint(EndpointRule::manual()).mode(Mode::Incremental);
    for samples in [1, 319, 320, 640, 10_000] {
        let mut bench = Bench::new(options.clone());
        bench.push(&signal(&[(1, 20)])[..samples], 320);
        let finals = finals(&bench.finish());
        assert!(finals.len() == 1 && !finals[0].second_pass, "{samples} samples: {finals:?}");
    }
}

/// Bytes that `work` allocated and did not free.
fn kept(work: impl FnOnce()) -> i64 {
    allocation_counter::measure(work).bytes_current
}

/// Promise 5. Fails when the frames of silence are kept.
#[test]
fn three_hours_take_the_memory_of_ten_minutes() {
    // A minute: long and short utterances, long and short pauses, one beyond the length bound.
    let minute = signal(&[(1, 20), (0, 100), (2, 700), (0, 21), (3, 90), (0, 12), (4, 100), (0, 457)]);
    for mode in [Mode::TwoPass, Mode::Incremental] {
        let mut bench = Bench::new(Options::new(16_000).mode(mode));
        let (mut held, mut finals) = (0, 0);
        let mut ten_minutes = 0;
        for number in 1..=180 {
            held += kept(|| bench.push(&minute, 3_200));
            finals += bench.events.iter().filter(|event| matches!(event, Event::Final(_))).count();
            held += kept(|| bench.events.clear());
            if number == 10 {
                ten_minutes = held;
            }
        }
        assert!(finals >= 3 * 180, "{finals} finals");
        assert!(held <= ten_minutes, "{mode:?}: {ten_minutes} bytes after ten minutes, then {held}");
    }
}

/// What comes of `words` when second passes are run ahead wherever they can be, held back for
/// `late` chunks of 20 ms, and answered by `answer`; and how many there were.
fn ahead(words: &[(u32, usize)], late: usize, answer: impl Fn(Job) -> Reply) -> (Vec<Event>, usize) {
    let mut bench = Bench::new(Options::new(16_000));
    let mut out: VecDeque<(usize, Job)> = VecDeque::new();
    let mut early = 0;
    for (now, piece) in signal(words).chunks(320).enumerate() {
        bench.push(piece, 320);
        while let Some((_, job)) = out.pop_front_if(|(due, _)| *due <= now) {
            bench.session.accept(answer(job));
            bench.turn();
        }
        if bench.session.foreseen().is_some() {
            out.extend(bench.session.early().map(|job| (now + late, job)));
            early += 1;
        }
    }
    out.into_iter().for_each(|(_, job)| bench.session.accept(answer(job)));
    (bench.finish(), early)
}

#[test]
fn a_second_pass_may_run_ahead_of_its_endpoint() {
    let two = [(0, 20), (1, 40), (0, 40), (2, 30), (0, 40)];
    // A pause long enough to foresee an endpoint in, and too short to be one.
    let resumed = [(0, 20), (1, 40), (0, 14), (2, 30), (0, 40)];
    for (words, finals_of) in [(two, ["w1", "w2"].as_slice()), (resumed, &["w1 w3"])] {
        let expected = finals(&events(Options::new(16_000), &words));
        for late in [0, 1, 10, 20, 30, 60, 1_000] {
            let (events, early) = ahead(&words, late, serve);
            assert_eq!(finals(&events), expected, "{late} chunks late");
            assert_eq!(texts(&events), finals_of);
            assert!(early > 0 && finals(&events).iter().all(|f| f.second_pass));
        }
    }
}

#[test]
fn an_early_second_pass_that_fails_is_made_again() {
    let fails = |job| Reply { result: Err(Error::new(ErrorKind::Inference, "now")), ..serve(job) };
    for late in [0, 10, 30] {
        let (events, early) = ahead(&[(0, 20), (1, 40), (0, 40)], late, fails);
        assert_eq!((texts(&events), early), (vec!["w1".to_owned()], 1), "{late} chunks late");
    }
}

#[test]
fn silence_gives_the_memory_back() {
    let mut bench = Bench::new(Options::new(16_000));
    let silence = signal(&[(0, 100)]);
    let silent = kept(|| bench.push(&silence, 3_200));
    assert_eq!(bench.session.pasts.lent(), 0);
    let speaking = silent + kept(|| bench.push(&signal(&[(1, 500)]), 3_200));
    assert_eq!(bench.session.pasts.lent(), 1);
    let again = speaking + kept(|| bench.push(&silence, 3_200)) + kept(|| bench.events.clear());
    println!("{silent} bytes, {speaking} after 20 s of speech, {again} when it is silent again");
    assert!(speaking > 500_000, "20 s of mel frames alone are 512,000 bytes");
    assert!(silent < 100_000 && again < 100_000);
    assert_eq!(bench.session.pasts.lent(), 0);
}

/// In a forked child nobody may touch what is shared. Fails when a session gives back what it has lent.
#[test]
fn an_abandoned_session_gives_nothing_back() {
    let mut bench = Bench::new(Options::new(16_000));
    bench.push(&signal(&[(1, 50)]), 3_200);
    let pasts = Arc::clone(&bench.session.pasts);
    assert_eq!(pasts.lent(), 1);
    bench.session.abandon();
    drop(bench);
    assert_eq!(pasts.lent(), 1);
}

/// Fails when partials are queued one by one, and when asking a stream for news leaves something behind.
#[test]
fn three_hours_of_a_slow_reader_and_of_a_stalled_producer_hold_no_more_than_ten_minutes() {
    let minute = signal(&[(1, 20), (0, 100), (2, 700), (0, 21), (3, 90), (0, 12), (4, 100), (0, 457)]);
    let mut slow = Session::new(
        Options::new(16_000),
        fake::vocab(),
        Box::<FakeFrontEnd>::default(),
        Pasts::new(1_000),
        2,
    );
    let serve_all = |session: &mut Session| {
        while let Some(job) = session.next_job() {
            session.accept(serve(job));
        }
    };
    let (mut held, mut ten_minutes) = (0, 0);
    for number in 1..=180 {
        held += kept(|| {
            for tick in minute.chunks(256) {
                slow.push(tick);
                serve_all(&mut slow);
            }
            // Once a minute it looks.
            while slow.next_event().is_some() {}
        });
        if number == 10 {
            ten_minutes = held;
        }
    }
    assert!(held <= ten_minutes, "a slow reader: {ten_minutes} bytes after ten minutes, then {held}");

    // In the middle of a word nothing more comes, and the host asks every 20 ms for three hours.
    let mut stalled = Session::new(
        Options::new(16_000),
        fake::vocab(),
        Box::<FakeFrontEnd>::default(),
        Pasts::new(1_000),
        2,
    );
    stalled.push(&signal(&[(1, 40)]));
    let mut ask = |times: usize| {
        kept(|| {
            for _ in 0..times {
                serve_all(&mut stalled);
                while stalled.next_event().is_some() {}
            }
        })
    };
    ask(30_000);
    assert_eq!(ask(510_000), 0, "bytes that asking a stalled stream left behind");
}

#[test]
fn a_host_that_reads_nothing_is_held_up_at_a_bound() {
    let options = Options { finals_max: 8, ..Options::new(16_000) };
    let mut session =
        Session::new(options, fake::vocab(), Box::<FakeFrontEnd>::default(), Pasts::new(1_000), 2);
    let speech = signal(&[(1, 20), (0, 30)]);
    let mut pushed = 0;
    let held = kept(|| {
        'full: for _ in 0..1_000 {
            for tick in speech.chunks(256) {
                if session.room() < tick.len() {
                    break 'full;
                }
                session.push(tick);
                while let Some(job) = session.next_job() {
                    session.accept(serve(job));
                }
                pushed += tick.len();
            }
        }
    });
    assert_eq!(session.full(), Some(Full::Finals));
    assert!(pushed <= 9 * speech.len(), "{pushed} samples were taken");
    assert!(held < 1_000_000, "{held} bytes for {pushed} samples");
}
