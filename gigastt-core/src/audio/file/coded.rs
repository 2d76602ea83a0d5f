//! Containers and codecs of symphonia, and opus, held to what the container says.
//!
//! symphonia is made for players: it resynchronises after lost bytes, drops what fails its checksum
//! and plays encoder delay. So the time stamps are followed here, the length is compared with what was
//! decoded, and delay and padding are cut off.

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_AC3, CODEC_ID_DCA, CODEC_ID_EAC3, CODEC_ID_OPUS, CODEC_ID_WMA,
};
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as Fault;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::well_known::{
    FORMAT_ID_AIFF, FORMAT_ID_CAF, FORMAT_ID_FLAC, FORMAT_ID_ISOMP4, FORMAT_ID_MKV, FORMAT_ID_MP3,
    FORMAT_ID_OGG,
};
use symphonia::core::formats::{FormatId, FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;
use symphonia::default;

use super::mp4::Edit;
use super::opus::Opus;
use super::{Broken, Reader, invalid, io_error};
use crate::audio::Format;
use crate::{Error, Result};

/// The gap between two packets from which on something is missing: above the rounding of time stamps
/// and below any packet, in seconds.
const GAP_S: f64 = 0.01;

/// Frames that an mp3 without a LAME tag may lack: some encoders count the frame with the tag.
const MP3_SLACK: u64 = 1_152;

/// What is told of a file that is of no known kind.
pub(super) const UNKNOWN: &str =
    "expected wav, flac, mp3, ogg, m4a, aac, webm, aiff or caf, found none of them";

pub(super) struct Coded {
    demuxer: Box<dyn FormatReader>,
    track: u32,
    decoder: Decoder,
    promise: Promise,
    /// The time stamp that the next packet should have, where the container's are exact.
    due: Option<i64>,
    /// Frames decoded.
    decoded: u64,
    /// Frames handed on.
    played: u64,
    format: Option<Format>,
    /// Samples per second as the header has it.
    rate: Option<u32>,
    seconds: Option<f64>,
    /// The end of the file is the end of the audio.
    open_ended: bool,
    /// Length in bytes of a stream whose duration only its first packet lets guess.
    guess_from: Option<u64>,
}

enum Decoder {
    Symphonia(Box<dyn AudioDecoder>),
    Opus(Box<Opus>),
}

/// What a container says of its audio, in frames.
#[derive(Default)]
struct Promise {
    /// Decoded frames that are the encoder's: its delay and its padding.
    delay: u64,
    padding: Option<Range<u64>>,
    /// The length without them.
    length: Option<u64>,
    /// Frames that may be missing.
    slack: u64,
}

impl Coded {
    pub(super) fn open(input: Box<dyn MediaSource>, edit: Option<Edit>) -> Result<Self> {
        let stream = MediaSourceStream::new(input, Default::default());
        let (formats, tags) = (FormatOptions::default(), MetadataOptions::default());
        let demuxer =
            fenced(|| default::get_probe().probe(&Hint::new(), stream, formats, tags)).map_err(|fault| {
                match fault {
                    Fault::Unsupported(what) if what.starts_with("core (probe)") => invalid(UNKNOWN),
                    fault => broken(fault, "in the header"),
                }
            })?;
        let container = demuxer.format_info().format;
        let track = demuxer
            .default_track(TrackType::Audio)
            .ok_or_else(|| invalid("expected an audio track, found none with a known codec"))?;
        let parameters = track.codec_params.as_ref().and_then(|parameters| parameters.audio());
        let parameters = parameters.ok_or_else(|| invalid("expected an audio track, found none"))?;
        let decoder = Decoder::new(parameters, container)?;
        let edit = edit.filter(|edit| edit.track == track.id);
        let promise = Promise::new(container, track, &decoder, edit);
        let due = matches!(container, FORMAT_ID_FLAC | FORMAT_ID_OGG).then_some(track.start_ts.get());
        let seconds = seconds(&*demuxer, track, &promise);
        Ok(Self {
            rate: sample_rate(track),
            track: track.id,
            decoder,
            promise,
            due,
            decoded: 0,
            played: 0,
            format: None,
            seconds,
            open_ended: container == FORMAT_ID_MKV,
            guess_from: None,
            demuxer,
        })
    }

    /// Lets the first packet and the length of the file tell the duration, if the header does not.
    pub(super) fn estimate(self, byte_len: Option<u64>) -> Self {
        Self { guess_from: byte_len, ..self }
    }

    /// Takes the duration from the time stamp at the end, in frames.
    pub(super) fn ending_at(self, end: Option<u64>) -> Self {
        let seconds = end
            .zip(self.rate)
            .map(|(end, rate)| end.saturating_sub(self.promise.delay) as f64 / f64::from(rate));
        Self { seconds, ..self }
    }

    /// Where the decoder is, for messages.
    fn place(&self) -> String {
        match self.format {
            Some(format) => format!("at {:.3} s", self.decoded as f64 / f64::from(format.sample_rate)),
            None => "in the first packet".to_owned(),
        }
    }

    fn next_packet(&mut self) -> Result<Option<Packet>> {
        loop {
            match fenced(|| self.demuxer.next_packet()) {
                Ok(Some(packet)) if packet.track_id != self.track => {}
                Ok(packet) => return Ok(packet),
                // What a recorder writes while it records has no length.
                Err(Fault::IoError(error)) if error.kind() == ErrorKind::UnexpectedEof && self.open_ended => {
                    return Ok(None);
                }
                Err(fault) => return Err(broken(fault, &self.place())),
            }
        }
    }

    fn check_gap(&mut self, packet: &Packet) -> Result<()> {
        let Some(due) = &mut self.due else { return Ok(()) };
        let gap = packet.pts.get().saturating_sub(*due);
        *due = packet.pts.get().saturating_add_unsigned(packet.block_dur().get());
        // Both containers stamp in frames.
        let rate = self.format.map_or(f64::MAX, |format| f64::from(format.sample_rate));
        if gap as f64 > GAP_S * rate {
            let missing = gap as f64 / rate;
            return Err(invalid(format!("expected audio {}, found a gap of {missing:.3} s", self.place())));
        }
        Ok(())
    }

    /// Counts what was decoded and cuts the encoder's part off.
    fn trim(&mut self, out: &mut Vec<f32>, channels: usize) {
        let (start, frames) = (self.decoded, (out.len() / channels) as u64);
        self.decoded += frames;
        let within = |range: &Range<u64>| {
            let [from, to] = [range.start, range.end].map(|at| at.saturating_sub(start).min(frames) as usize);
            from * channels..to * channels
        };
        if let Some(padding) = &self.promise.padding {
            out.drain(within(padding));
        }
        out.drain(within(&(0..self.promise.delay)));
        self.played += (out.len() / channels) as u64;
    }

    fn end(&self) -> Result<Option<Format>> {
        match self.promise.length {
            Some(length) if self.played + self.promise.slack < length => Err(invalid(format!(
                "expected {length} samples per channel, found {}: the file is cut short or damaged",
                self.played
            ))),
            _ => Ok(None),
        }
    }
}

impl Reader for Coded {
    fn read(&mut self, out: &mut Vec<f32>) -> Result<Option<Format>> {
        loop {
            out.clear();
            let Some(packet) = self.next_packet()? else { return self.end() };
            self.check_gap(&packet)?;
            let format =
                fenced(|| self.decoder.decode(&packet, out)).map_err(|fault| broken(fault, &self.place()))?;
            self.format = Some(format);
            if let (None, Some(bytes)) = (self.seconds, self.guess_from) {
                let rate = packet.block_dur().get() as f64 / packet.data.len().max(1) as f64;
                self.seconds = Some(bytes as f64 * rate / f64::from(format.sample_rate));
            }
            self.trim(out, usize::from(format.channels).max(1));
            if !out.is_empty() {
                return Ok(Some(format));
            }
        }
    }

    fn seconds(&self) -> Option<f64> {
        self.seconds
    }
}

impl Decoder {
    fn new(parameters: &AudioCodecParameters, container: FormatId) -> Result<Self> {
        if parameters.codec == CODEC_ID_OPUS {
            let head = parameters.extra_data.as_deref().unwrap_or_default();
            return Ok(Self::Opus(Box::new(Opus::new(head)?)));
        }
        // Of an mp3 symphonia cuts all that is behind the stated length, be it two files in one.
        let options = AudioDecoderOptions::default().gapless(container != FORMAT_ID_MP3);
        let decoder = fenced(|| default::get_codecs().make_audio_decoder(parameters, &options));
        let refused = |fault| match refused(parameters.codec) {
            Some(name) => invalid(format!("expected a codec that can be decoded, found {name}")),
            None => broken(fault, "in the header"),
        };
        Ok(Self::Symphonia(decoder.map_err(refused)?))
    }

    /// Replaces `out` by the packet's samples.
    fn decode(&mut self, packet: &Packet, out: &mut Vec<f32>) -> Result<Format, Fault> {
        match self {
            Self::Symphonia(decoder) => {
                let buffer = decoder.decode(packet)?;
                buffer.copy_to_vec_interleaved(out);
                let channels = u16::try_from(buffer.spec().channels().count()).unwrap_or(u16::MAX);
                Ok(Format { sample_rate: buffer.spec().rate(), channels })
            }
            Self::Opus(opus) => {
                let format = opus.decode(&packet.data, out)?;
                let frames = out.len() / usize::from(format.channels);
                let kept = frames.saturating_sub(packet.trim_end.get() as usize);
                out.truncate(kept * usize::from(format.channels));
                Ok(format)
            }
        }
    }
}

/// The name of a codec that is met in these containers and has no decoder here.
fn refused(codec: AudioCodecId) -> Option<&'static str> {
    Some(match codec {
        CODEC_ID_AC3 => "AC-3",
        CODEC_ID_DCA => "DTS",
        CODEC_ID_EAC3 => "E-AC-3",
        CODEC_ID_WMA => "WMA",
        _ => return None,
    })
}

impl Promise {
    fn new(container: FormatId, track: &Track, decoder: &Decoder, edit: Option<Edit>) -> Self {
        match container {
            FORMAT_ID_MP3 => Self::mp3(track),
            FORMAT_ID_ISOMP4 => Self::mp4(track, edit),
            FORMAT_ID_CAF => Self::caf(track),
            FORMAT_ID_FLAC | FORMAT_ID_AIFF => Self { length: track.num_frames, ..Self::default() },
            _ => match decoder {
                Decoder::Opus(opus) => Self { delay: opus.pre_skip.into(), ..Self::default() },
                Decoder::Symphonia(_) => Self::default(),
            },
        }
    }

    fn mp3(track: &Track) -> Self {
        let delay = u64::from(track.delay.unwrap_or(0));
        let padding = track.num_frames.zip(track.padding).map(|(frames, padding)| {
            let end = frames.saturating_add(delay);
            end..end.saturating_add(padding.into())
        });
        let slack = if padding.is_some() { 0 } else { MP3_SLACK };
        Self { delay, padding, length: track.num_frames, slack }
    }

    /// Whatever is missing of a caf ends a packet too early, so nothing has to be counted.
    fn caf(track: &Track) -> Self {
        let delay = u64::from(track.delay.unwrap_or(0));
        let padding = track.num_frames.map(|frames| frames.saturating_add(delay)..u64::MAX);
        Self { delay, padding, ..Self::default() }
    }

    fn mp4(track: &Track, edit: Option<Edit>) -> Self {
        // A fragmented file says 0 in front.
        let stated = track.num_frames.filter(|&frames| frames > 0);
        let (Some(edit), Some(rate)) = (edit, sample_rate(track)) else {
            return Self { length: stated, ..Self::default() };
        };
        let frames = |ticks: u64| {
            let frames = u128::from(ticks) * u128::from(rate) / u128::from(edit.timescale);
            u64::try_from(frames).unwrap_or(u64::MAX)
        };
        let delay = frames(edit.skip);
        let end = edit.keep.map_or(u64::MAX, |keep| delay.saturating_add(frames(keep)));
        let length = stated.map(|frames| frames.min(end).saturating_sub(delay));
        Self { delay, padding: Some(end..u64::MAX), length, slack: 0 }
    }
}

/// Some sizes in broken headers make symphonia panic, where overflow is checked or a slice is cut. That
/// is broken audio and no reason for a host to go down.
pub(super) fn fenced<T>(call: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    let panicked = |_| Err(Fault::DecodeError("the decoder cannot cope with it"));
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(panicked)
}

fn seconds(demuxer: &dyn FormatReader, track: &Track, promise: &Promise) -> Option<f64> {
    if let (Some(length), Some(rate)) = (promise.length, sample_rate(track)) {
        return Some(length as f64 / f64::from(rate));
    }
    let media = demuxer.media_info();
    let (base, duration) = track.time_base.zip(track.duration).or(media.time_base.zip(media.duration))?;
    let seconds = duration.get() as f64 * f64::from(base.numer.get()) / f64::from(base.denom.get());
    (seconds > 0.0).then_some(seconds)
}

fn sample_rate(track: &Track) -> Option<u32> {
    track.codec_params.as_ref()?.audio()?.sample_rate
}

pub(super) fn broken(fault: Fault, place: &str) -> Error {
    match fault {
        Fault::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            invalid(format!("expected more audio {place}, found the end of the file: it is cut short"))
        }
        // symphonia also calls the end of a packet's bits an I/O error.
        Fault::IoError(error) if is_real(&error) => io_error(&error),
        Fault::ResetRequired => invalid(format!("expected one stream, found a second one {place}")),
        fault => invalid(format!("expected audio that can be decoded, found {place}: {fault}")),
    }
}

fn is_real(error: &io::Error) -> bool {
    let from_pipe = error.get_ref().is_some_and(|inner| inner.is::<Broken>());
    error.raw_os_error().is_some() || from_pipe || error.kind() == ErrorKind::InvalidData
}
