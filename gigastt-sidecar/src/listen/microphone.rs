//! Samples from a microphone, by cpal.

use std::sync::mpsc::{SyncSender, TrySendError};

use cpal::traits::{DeviceTrait as _, HostTrait as _, StreamTrait as _};
use cpal::{Device, FromSample, Sample as _, SampleFormat, SizedSample, Stream, SupportedStreamConfig};
use gigastt_core::audio::Format;
use gigastt_core::{Error, ErrorKind, Result};

use super::input::{Heard, Input};

/// A running recording. Dropping it ends it.
pub(super) struct Microphone {
    format: Format,
    _stream: Stream,
}

impl Microphone {
    /// Starts to record at the device's own rate and channels: the system's microphone, or the one whose
    /// name has `name` in it.
    ///
    /// # Errors
    /// `InvalidArgument` when there is no such device, `Io` when it cannot be used.
    pub(super) fn open(name: Option<&str>, to: SyncSender<Input>) -> Result<Self> {
        let device = find(name)?;
        let config = device.default_input_config().map_err(|error| unusable(&device, &error))?;
        let build = match config.sample_format() {
            SampleFormat::I8 => record::<i8>,
            SampleFormat::U8 => record::<u8>,
            SampleFormat::I16 => record::<i16>,
            SampleFormat::U16 => record::<u16>,
            SampleFormat::I32 => record::<i32>,
            SampleFormat::F32 => record::<f32>,
            SampleFormat::F64 => record::<f64>,
            other => {
                let message = format!("expected samples of 8, 16, 32 or 64 bits, found {other}");
                return Err(Error::new(ErrorKind::Io, message).about(device.to_string()));
            }
        };
        let stream = build(&device, &config, to)
            .and_then(|stream| stream.play().map(|()| stream))
            .map_err(|error| unusable(&device, &error))?;
        let format = Format { sample_rate: config.sample_rate(), channels: config.channels() };
        log::info!("{device}: {} Hz, {} channel(s)", format.sample_rate, format.channels);
        Ok(Self { format, _stream: stream })
    }

    /// What the samples are.
    pub(super) fn format(&self) -> Format {
        self.format
    }
}

fn find(name: Option<&str>) -> Result<Device> {
    let host = cpal::default_host();
    let Some(name) = name else {
        let message = "this system has no microphone, or does not let this program use it";
        return host.default_input_device().ok_or_else(|| missing(message.into()));
    };
    let devices: Vec<Device> = host.devices().map(Iterator::collect).unwrap_or_default();
    let named: Vec<_> = devices.into_iter().filter(Device::supports_input).collect();
    let names: Vec<_> = named.iter().map(ToString::to_string).collect();
    let found = named.into_iter().find(|device| device.to_string().contains(name));
    found.ok_or_else(|| missing(format!("expected one of {names:?}, found {name}")))
}

fn missing(message: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, message).about("--microphone")
}

fn unusable(device: &Device, error: &cpal::Error) -> Error {
    Error::new(ErrorKind::Io, error.to_string()).about(device.to_string())
}

/// Records into the channel. The device's thread may not wait: what does not fit is counted, and told with
/// what comes next, so that times stay right.
fn record<T: SizedSample>(
    device: &Device,
    config: &SupportedStreamConfig,
    to: SyncSender<Input>,
) -> Result<Stream, cpal::Error>
where
    f32: FromSample<T>,
{
    let channels = u64::from(config.channels());
    let failed = to.clone();
    let mut lost = 0;
    let heard = move |data: &[T], _: &cpal::InputCallbackInfo| {
        let samples = data.iter().map(|&sample| f32::from_sample(sample)).collect();
        match to.try_send(Input::Heard(Heard { lost, samples })) {
            Ok(()) => lost = 0,
            Err(TrySendError::Full(_)) => lost += data.len() as u64 / channels,
            Err(TrySendError::Disconnected(_)) => {}
        }
    };
    let error = move |error: cpal::Error| match error.kind() {
        cpal::ErrorKind::Xrun | cpal::ErrorKind::DeviceChanged | cpal::ErrorKind::RealtimeDenied => {
            log::warn!("microphone: {error}");
        }
        _ => {
            let error = Error::new(ErrorKind::Io, error.to_string()).about("microphone");
            let _ = failed.try_send(Input::Failed(error));
        }
    };
    device.build_input_stream(config.config(), heard, error, None)
}
