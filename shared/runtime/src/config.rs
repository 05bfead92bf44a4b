//! Configuration from environment variables: declared as data, read once, complaining about
//! everything at once.
//!
//! A function declares what it reads as `pub const VARIABLES: &[Variable]`; a test compares that with
//! the deployed template, in both directions.

use std::collections::BTreeMap;
use std::fmt;

/// What a variable's value must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Any text that is not empty.
    Text,
    /// A name of 1 to 255 of `A-Z a-z 0-9 . _ -`, such as a table's or a stream's.
    Name,
    /// An absolute `http` or `https` URL.
    Url,
    /// At least so many bytes; the value is never printed.
    Secret(usize),
    /// One of these.
    OneOf(&'static [&'static str]),
}

/// One environment variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What its value must look like.
    pub form: Form,
    /// What counts where it is not set; none where it must be.
    pub default: Option<&'static str>,
}

impl Variable {
    /// A variable that must be set.
    pub const fn required(name: &'static str, form: Form) -> Self {
        Variable { name, form, default: None }
    }

    /// A variable that may be left out.
    pub const fn optional(name: &'static str, form: Form, default: &'static str) -> Self {
        Variable { name, form, default: Some(default) }
    }

    /// What would be right, if `value` is not. Never repeats a secret.
    fn complaint(&self, value: &str) -> Option<String> {
        let shown = match self.form {
            Form::Secret(_) => String::new(),
            _ => format!(", not {value:?}"),
        };
        let wanted = match self.form {
            Form::Text if value.trim().is_empty() => "must not be empty".to_owned(),
            Form::Name if !is_name(value) => {
                format!("must be 1 to 255 of A-Z a-z 0-9 . _ -{shown}")
            }
            Form::Url if !is_url(value) => format!("must be a URL with http:// or https://{shown}"),
            Form::Secret(bytes) if value.len() < bytes => format!("must have at least {bytes} bytes"),
            Form::OneOf(choices) if !choices.contains(&value) => {
                format!("must be one of {}{shown}", choices.join(", "))
            }
            _ => return None,
        };
        Some(format!("{} {wanted}", self.name))
    }
}

fn is_name(value: &str) -> bool {
    (1..=255).contains(&value.len())
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

fn is_url(value: &str) -> bool {
    value.parse::<axum::http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    })
}

/// Deployment stage.
pub const STAGE: Variable = Variable::required("STAGE", Form::Name);
/// Least severe level that is logged.
pub const LOG_LEVEL: Variable =
    Variable::optional("LOG_LEVEL", Form::OneOf(&["trace", "debug", "info", "warn", "error"]), "info");
/// How a failed record of a batch is told: by its identifier, or by failing the whole invocation (for
/// an event source that takes an answered invocation for success).
pub const BATCH_FAILURES: Variable =
    Variable::optional("BATCH_FAILURES", Form::OneOf(&["report", "raise"]), "report");
/// Orders table.
pub const ORDERS_TABLE: Variable = Variable::required("ORDERS_TABLE", Form::Name);
/// Stock table.
pub const STOCK_TABLE: Variable = Variable::required("STOCK_TABLE", Form::Name);
/// Ledger table.
pub const LEDGER_TABLE: Variable = Variable::required("LEDGER_TABLE", Form::Name);
/// Catalogue table.
pub const CATALOG_TABLE: Variable = Variable::required("CATALOG_TABLE", Form::Name);
/// Analytics table.
pub const ANALYTICS_TABLE: Variable = Variable::required("ANALYTICS_TABLE", Form::Name);
/// Dispatch table.
pub const DISPATCH_TABLE: Variable = Variable::required("DISPATCH_TABLE", Form::Name);
/// Identity table.
pub const IDENTITY_TABLE: Variable = Variable::required("IDENTITY_TABLE", Form::Name);
/// Name of the sales stream.
pub const EVENT_STREAM: Variable = Variable::required("EVENT_STREAM", Form::Name);
/// URL of the dispatcher's queue.
pub const HQ_QUEUE_URL: Variable = Variable::required("HQ_QUEUE_URL", Form::Url);
/// Where HQ receives orders.
pub const HQ_URL: Variable = Variable::required("HQ_URL", Form::Url);
/// Signs what is sent to HQ. 24 bytes is the least that Standard Webhooks allows.
pub const HQ_SIGNING_SECRET: Variable = Variable::required("HQ_SIGNING_SECRET", Form::Secret(24));
/// `iss` of every token.
pub const TOKEN_ISSUER: Variable = Variable::required("TOKEN_ISSUER", Form::Text);
/// `aud` of every token.
pub const TOKEN_AUDIENCE: Variable = Variable::required("TOKEN_AUDIENCE", Form::Text);

/// What every function reads beside its own.
pub const COMMON: &[Variable] = &[STAGE, LOG_LEVEL, BATCH_FAILURES];

/// Everything that was missing or malformed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(pub Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration is incomplete: {}", self.0.join("; "))
    }
}

impl std::error::Error for ConfigError {}

/// The configuration: every declared variable, checked.
#[derive(Clone)]
pub struct Config {
    values: BTreeMap<&'static str, String>,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names only: a value may be a secret.
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Config {
    /// Reads `variables` and [`COMMON`] from the process's environment.
    ///
    /// # Errors
    /// All that are missing or malformed, each with what would be right.
    pub fn load(variables: &[Variable]) -> Result<Config, ConfigError> {
        Config::from_lookup(variables, |name| std::env::var(name).ok())
    }

    /// Reads `variables` and [`COMMON`] through `lookup`.
    ///
    /// # Errors
    /// All that are missing or malformed, each with what would be right.
    pub fn from_lookup(
        variables: &[Variable],
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Config, ConfigError> {
        let (mut values, mut complaints) = (BTreeMap::new(), Vec::new());
        for variable in COMMON.iter().chain(variables) {
            match lookup(variable.name).or_else(|| variable.default.map(str::to_owned)) {
                None => complaints.push(format!("{} is not set", variable.name)),
                Some(value) => match variable.complaint(&value) {
                    Some(complaint) => complaints.push(complaint),
                    None => {
                        values.insert(variable.name, value);
                    }
                },
            }
        }
        if complaints.is_empty() { Ok(Config { values }) } else { Err(ConfigError(complaints)) }
    }

    /// The value of a declared variable.
    ///
    /// # Errors
    /// [`ConfigError`] if the function did not declare it.
    pub fn get(&self, variable: &Variable) -> Result<&str, ConfigError> {
        self.opt(variable).ok_or_else(|| {
            ConfigError(vec![format!("{} is read but not among the function's VARIABLES", variable.name)])
        })
    }

    /// The value of a variable, if the function declared it.
    pub fn opt(&self, variable: &Variable) -> Option<&str> {
        self.values.get(variable.name).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &[Variable] = &[ORDERS_TABLE, HQ_URL, HQ_SIGNING_SECRET];

    fn load(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_lookup(ALL, |name| {
            pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn names_everything_that_is_wrong_at_once_and_no_secret() {
        let error = load(&[
            ("LOG_LEVEL", "loud"),
            ("HQ_URL", "hq.example"),
            ("HQ_SIGNING_SECRET", "hunter2"),
            ("BATCH_FAILURES", "report"),
        ])
        .unwrap_err();
        let text = error.to_string();
        assert_eq!(error.0.len(), 5, "{text}");
        for expected in [
            "STAGE is not set",
            "LOG_LEVEL must be one of trace, debug, info, warn, error, not \"loud\"",
            "ORDERS_TABLE is not set",
            "HQ_URL must be a URL with http:// or https://, not \"hq.example\"",
            "HQ_SIGNING_SECRET must have at least 24 bytes",
        ] {
            assert!(text.contains(expected), "{text} lacks {expected}");
        }
        assert!(!text.contains("hunter2"));
    }

    #[test]
    fn reads_what_is_right_and_fills_in_defaults() {
        let config = load(&[
            ("STAGE", "dev"),
            ("ORDERS_TABLE", "t-OrdersTable-1.x"),
            ("HQ_URL", "http://127.0.0.1:9000/orders"),
            ("HQ_SIGNING_SECRET", "0123456789012345678901234567"),
        ])
        .unwrap();
        assert_eq!(config.get(&ORDERS_TABLE).unwrap(), "t-OrdersTable-1.x");
        assert_eq!(config.get(&LOG_LEVEL).unwrap(), "info");
        assert_eq!(config.get(&BATCH_FAILURES).unwrap(), "report");
        assert!(config.get(&STOCK_TABLE).is_err(), "an undeclared variable was read");
        assert!(!format!("{config:?}").contains("012345"), "a secret was printed");
    }
}
