//! The published models, as data.
//!
//! A sum stands here only where it was checked. The files of the CTC variants have none yet: they are not
//! fetched unless the caller says that he takes them on the hub's word ([`Trust::Hub`](super::Trust)).

use crate::Variant;

/// A published model: where its files are, and what they must be.
#[derive(Debug, Clone, Copy)]
pub struct Pretrained {
    /// Which of the variants it is.
    pub variant: Variant,
    /// The repository on the hub.
    pub source: &'static str,
    /// Its revision. The sums decide what is installed, whatever it points to.
    pub revision: &'static str,
    /// The licence of its weights.
    pub licence: &'static str,
    /// Its files, in the order in which they are fetched.
    pub files: &'static [RemoteFile],
}

/// A file of a published model.
#[derive(Debug, Clone, Copy)]
pub struct RemoteFile {
    /// Its name, on the hub and on the disk.
    pub name: &'static str,
    /// The SHA-256 of its content in hexadecimal; `None` where this release does not know it.
    pub sha256: Option<&'static str>,
    /// About how many bytes it has; `None` where this release does not know it. The server tells exactly.
    pub bytes_about: Option<u64>,
    /// More bytes than these are refused, however the server goes on.
    pub bytes_max: u64,
}

/// The published models, the preferred first.
pub const MODELS: [Pretrained; 4] = [
    gigaam(
        Variant::E2eRnnt,
        &[
            VOCABULARY
                .named("v3_e2e_rnnt_vocab.txt")
                .sum("39abae20e692998290c574e606f11a9edef2902a1995463fcff63d1490cf22b7"),
            PART.named("v3_e2e_rnnt_decoder.onnx")
                .sum("7b0a16d67fd2cb37061decc93c69e364a9ab27afee3c57495d55b1c974cf7231")
                .about(4_600_000),
            PART.named("v3_e2e_rnnt_joint.onnx")
                .sum("602ff7017a93311aad34df1437c8d7f49911353c13d6eae7a6ee7b041339465c")
                .about(2_700_000),
            ENCODER
                .named("v3_e2e_rnnt_encoder.onnx")
                .sum("cd60b3764a832e8560ae6d3ad0b10adc1a42ffae412b9476f25620aae4f4a508")
                .about(885_000_000),
        ],
    ),
    gigaam(
        Variant::Rnnt,
        &[
            VOCABULARY.named("v3_vocab.txt").sum(LETTERS),
            PART.named("v3_rnnt_decoder.onnx")
                .sum("443c3b7bd42b453611618135d6b1e7d9467e5dd97c8a68501da4aa355750c0da"),
            PART.named("v3_rnnt_joint.onnx")
                .sum("fd1d02f45c2ad3d6b67cc149811ad794ab4b020ed49a0a9e2790a8619d1cddd8"),
            ENCODER
                .named("v3_rnnt_encoder.onnx")
                .sum("7ae7509c3f1128369564df0b00e2ee4950adf539de2392ac5c800a5bc04c7132"),
        ],
    ),
    gigaam(Variant::E2eCtc, &[VOCABULARY.named("v3_e2e_ctc_vocab.txt"), ENCODER.named("v3_e2e_ctc.onnx")]),
    gigaam(Variant::Ctc, &[VOCABULARY.named("v3_vocab.txt").sum(LETTERS), ENCODER.named("v3_ctc.onnx")]),
];

/// The vocabulary of letters, which two variants share.
const LETTERS: &str = "a9143c30844d3c0bee3e9e927e4084774eb1b9eeaafc473b2c4521e4911a7c07";

/// A protobuf message, and so a graph with its weights inside, ends at 2 GiB.
const ENCODER: RemoteFile = RemoteFile::at_most(2 << 30);
const PART: RemoteFile = RemoteFile::at_most(64 << 20);
const VOCABULARY: RemoteFile = RemoteFile::at_most(1 << 20);

const fn gigaam(variant: Variant, files: &'static [RemoteFile]) -> Pretrained {
    Pretrained { variant, source: "istupakov/gigaam-v3-onnx", revision: "main", licence: "MIT", files }
}

impl Pretrained {
    /// The model of this name: `gigaam-v3-e2e-rnnt`, or its variant's code `e2e_rnnt`.
    pub fn find(name: &str) -> Option<&'static Self> {
        MODELS.iter().find(|model| model.name() == name || model.variant.code() == name)
    }

    /// Its name, which is that of its folder too.
    pub fn name(&self) -> &'static str {
        self.variant.model_name()
    }

    /// Whether the sum of every file is known.
    pub fn is_verifiable(&self) -> bool {
        self.files.iter().all(|file| file.sha256.is_some())
    }

    /// About how many bytes it has; `None` where that is not known of the encoder.
    pub fn bytes_about(&self) -> Option<u64> {
        let encoder = self.files.last()?;
        let rest = self.files.iter().rev().skip(1).filter_map(|file| file.bytes_about);
        Some(encoder.bytes_about? + rest.sum::<u64>())
    }
}

impl RemoteFile {
    const fn at_most(bytes_max: u64) -> Self {
        Self { name: "", sha256: None, bytes_about: None, bytes_max }
    }

    const fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    const fn sum(self, sha256: &'static str) -> Self {
        Self { sha256: Some(sha256), ..self }
    }

    const fn about(self, bytes: u64) -> Self {
        Self { bytes_about: Some(bytes), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variant_is_there_with_the_files_it_needs() {
        for variant in Variant::ALL {
            let model = Pretrained::find(variant.code()).unwrap();
            assert_eq!(model.variant, variant);
            assert_eq!(Pretrained::find(variant.model_name()).unwrap().variant, variant);
            let mut names: Vec<_> = model.files.iter().map(|file| file.name.to_owned()).collect();
            let mut needed: Vec<_> = variant.stems().iter().map(|stem| format!("{stem}.onnx")).collect();
            needed.push(variant.vocab_file().into());
            names.sort();
            needed.sort();
            assert_eq!(names, needed);
        }
        assert!(Pretrained::find("whisper").is_none());
    }

    #[test]
    fn sums_are_sums_and_are_told_from_none() {
        for file in MODELS.iter().flat_map(|model| model.files) {
            let hex = |sum: &str| sum.len() == 64 && sum.bytes().all(|b| b"0123456789abcdef".contains(&b));
            assert!(file.sha256.is_none_or(hex), "{file:?}");
        }
        let verifiable = MODELS.map(|model| model.is_verifiable());
        assert_eq!(verifiable, [true, true, false, false]);
        assert_eq!(MODELS[0].bytes_about(), Some(892_300_000));
        assert_eq!(MODELS[1].bytes_about(), None);
    }
}
