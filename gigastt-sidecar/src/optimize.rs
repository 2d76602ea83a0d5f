//! `gigastt optimize`: the fast form of a model, beside its files.

use std::path::Path;

use gigastt_core::optimize::{OptimizeOptions, Optimized, Outcome, forms, optimize};
use gigastt_core::{Form, Model, Result, scan};
use serde::Serialize;

use crate::cli::Optimize;
use crate::failure::{self, Exit};
use crate::{download, models, output};

/// Makes what the arguments name and tells what it is.
pub(crate) fn run(args: &Optimize) -> Exit {
    match outcome(args) {
        Ok(outcome) => {
            let text = if args.json { output::line(&Line::from(&outcome)) } else { told(&outcome) };
            let refused = matches!(outcome, Outcome::Refused(_));
            match output::print(&text) {
                Ok(()) if !refused => Exit::Done,
                Ok(()) | Err(_) => Exit::SomeFailed,
            }
        }
        Err(error) => {
            failure::tell(&error);
            Exit::without_engine(&error)
        }
    }
}

fn outcome(args: &Optimize) -> Result<Outcome> {
    let model = match &args.model {
        Some(name) if name == Path::new(models::EMBEDDED) => Model::embedded(),
        Some(name) => match download::by_name(name) {
            Some(model) => models::installed_model(model, args.model_dir.as_deref())?,
            None => Model::dir(name),
        },
        None => models::default_model(args.model_dir.as_deref()),
    };
    let form = if args.fp32 { Form::Fp32 } else { Form::Int8 };
    optimize(&model, &OptimizeOptions { form, again: args.again, runtime: args.runtime.clone() })
}

/// What programs are told.
#[derive(Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum Line<'a> {
    Made(Facts<'a>),
    Present(Facts<'a>),
    Refused { reason: String },
}

#[derive(Serialize)]
struct Facts<'a> {
    form: &'static str,
    folder: &'a Path,
    bytes: u64,
    products: usize,
    deviation: f64,
    precise: bool,
}

impl<'a> From<&'a Optimized> for Facts<'a> {
    fn from(form: &'a Optimized) -> Self {
        let Optimized { form, folder, bytes, products, deviation, precise } = form;
        let (bytes, products, deviation, precise) = (*bytes, *products, *deviation, *precise);
        Self { form: form.code(), folder, bytes, products, deviation, precise }
    }
}

impl<'a> From<&'a Outcome> for Line<'a> {
    fn from(outcome: &'a Outcome) -> Self {
        match outcome {
            Outcome::Made(form) => Self::Made(form.into()),
            Outcome::Present(form) => Self::Present(form.into()),
            Outcome::Refused(refusal) => Self::Refused { reason: refusal.to_string() },
        }
    }
}

fn told(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Made(form) => format!("{}\n{}\n", form.folder.display(), facts(form)),
        Outcome::Present(form) => format!("{}\n{}, made before\n", form.folder.display(), facts(form)),
        Outcome::Refused(refusal) => format!("not optimised, it runs as it is: {refusal}\n"),
    }
}

fn facts(form: &Optimized) -> String {
    let precision = if form.precise { ", exact products, as this processor has no VNNI" } else { "" };
    let products = match form.products {
        0 => String::new(),
        count => format!(", {count} matrix products in 8 bits{precision}"),
    };
    let bytes = models::megabytes(form.bytes);
    format!("{}{products}, {bytes}; deviates from its source by {:.1e}", form.form.code(), form.deviation)
}

/// Makes the model in `folder` fast after it was fetched; says what became of it. A form that somebody made before
/// is the one that is wanted. That it cannot be made is no failure of the download.
pub(crate) fn after_download(folder: &str) -> std::result::Result<Optimized, String> {
    let mut options = OptimizeOptions::default();
    if let Some(made) = scan(Path::new(folder)).iter().flatten().flat_map(forms).next() {
        options.form = made.form;
    }
    match optimize(&Model::dir(folder), &options) {
        Ok(Outcome::Made(form) | Outcome::Present(form)) => Ok(form),
        Ok(Outcome::Refused(refusal)) => Err(refusal.to_string()),
        Err(error) => Err(error.to_string()),
    }
}
