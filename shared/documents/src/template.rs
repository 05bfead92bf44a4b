//! Templates: the built-in ones, and those of a tenant.

use minijinja::Value;
use serde::{Deserialize, Serialize};
use tillstream_domain::identifier::check_id;

use crate::engine;
use crate::error::DocumentError;
use crate::kind::{Format, Kind, TemplateFormat};
use crate::{DocumentData, language, sample, view};

/// A template that keeps to the language of documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    id: String,
    version: u64,
    kind: Kind,
    format: TemplateFormat,
    source: String,
}

/// A template as headquarters sent it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateSource {
    /// Its id, unique in the tenant.
    pub id: String,
    /// Counts its changes.
    pub version: u64,
    /// Documents it is for.
    pub kind: Kind,
    /// What it is written for.
    pub format: TemplateFormat,
    /// The template.
    pub source: String,
}

/// Id of every template of this build.
const BUILT_IN: &str = "built-in";

macro_rules! built_in {
    ($name:literal, html, $title:literal) => {
        concat!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<title>",
            $title,
            "</title>\n",
            include_str!("../templates/page_begin.html"),
            include_str!(concat!("../templates/", $name, ".html")),
            include_str!("../templates/page_end.html")
        )
    };
    ($name:literal, paper) => {
        include_str!(concat!("../templates/", $name, ".paper"))
    };
}

fn built_in_source(kind: Kind, format: TemplateFormat) -> &'static str {
    match (kind, format) {
        (Kind::Receipt, TemplateFormat::Html) => built_in!("receipt", html, "Receipt"),
        (Kind::Receipt, TemplateFormat::Paper) => built_in!("receipt", paper),
        (Kind::GiftReceipt, TemplateFormat::Html) => built_in!("gift_receipt", html, "Gift receipt"),
        (Kind::GiftReceipt, TemplateFormat::Paper) => built_in!("gift_receipt", paper),
        (Kind::MerchantCopy, TemplateFormat::Html) => built_in!("merchant_copy", html, "Merchant copy"),
        (Kind::MerchantCopy, TemplateFormat::Paper) => built_in!("merchant_copy", paper),
        (Kind::KitchenChit, TemplateFormat::Html) => built_in!("kitchen_chit", html, "Kitchen chit"),
        (Kind::KitchenChit, TemplateFormat::Paper) => built_in!("kitchen_chit", paper),
        (Kind::ReturnReceipt, TemplateFormat::Html) => built_in!("return_receipt", html, "Return"),
        (Kind::ReturnReceipt, TemplateFormat::Paper) => built_in!("return_receipt", paper),
        (Kind::XReport, TemplateFormat::Html) => built_in!("x_report", html, "X report"),
        (Kind::XReport, TemplateFormat::Paper) => built_in!("x_report", paper),
        (Kind::ZReport, TemplateFormat::Html) => built_in!("z_report", html, "Z report"),
        (Kind::ZReport, TemplateFormat::Paper) => built_in!("z_report", paper),
    }
}

impl Template {
    /// The template of this build, used where a tenant has none; also what a tenant begins with.
    pub fn built_in(kind: Kind, format: TemplateFormat) -> Template {
        let source = built_in_source(kind, format).to_owned();
        Template { id: BUILT_IN.to_owned(), version: 0, kind, format, source }
    }

    /// Takes a template in: checks it against the language and every name in it, and renders it on trial
    /// with data that has everything, with data that has nothing optional, and as a reprint.
    ///
    /// # Errors
    /// Any `Template…` of [`DocumentError`], or [`DocumentError::DocumentTooLarge`].
    pub fn check(template: TemplateSource) -> Result<Template, DocumentError> {
        let kind = template.kind;
        check_id(&template.id)?;
        let full = view::of(kind, &sample::full(kind))?;
        language::check(&template.source, template.format, &full, true)?;
        let template = Template::from_checked(template);

        let print = template.trial(&sample::full(kind))?;
        template.trial(&sample::least(kind))?;
        let reprint = template.trial(&sample::reprint(kind))?;
        if print == reprint {
            return Err(DocumentError::TemplateHidesReprint { root: view::root(kind) });
        }
        Ok(template)
    }

    /// Takes a template that [`Template::check`] once accepted, perhaps that of another build: its
    /// language is checked again, but a name that is not known any more stands for nothing.
    ///
    /// # Errors
    /// [`DocumentError::TemplateId`], [`DocumentError::TemplateTooLarge`], [`DocumentError::TemplateSyntax`],
    /// [`DocumentError::TemplateNotAllowed`], [`DocumentError::TemplateUnknownName`] of filters.
    pub fn load(template: TemplateSource) -> Result<Template, DocumentError> {
        check_id(&template.id)?;
        let sample = view::of(template.kind, &sample::full(template.kind))?;
        language::check(&template.source, template.format, &sample, false)?;
        Ok(Template::from_checked(template))
    }

    fn from_checked(template: TemplateSource) -> Template {
        let TemplateSource { id, version, kind, format, source } = template;
        Template { id, version, kind, format, source }
    }

    /// Its id; `built-in` for those of this build.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Counts its changes.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Documents it is for.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What it is written for.
    pub fn format(&self) -> TemplateFormat {
        self.format
    }

    /// The template.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The bytes of every format that is made from it, which may each be too large.
    fn trial(&self, data: &DocumentData) -> Result<Vec<Vec<u8>>, DocumentError> {
        let written = self.write(view::of(self.kind, data)?)?;
        let formats = Format::ALL.into_iter().filter(|format| format.template_format() == self.format);
        formats.map(|format| crate::finish(format, &written)).collect()
    }

    /// What it makes of what it sees.
    pub(crate) fn write(&self, view: Value) -> Result<String, DocumentError> {
        engine::run(&self.source, self.format, view)
    }
}
