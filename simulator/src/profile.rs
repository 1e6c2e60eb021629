//! The knobs: a preset, then a profile file, then `--set`, the last one winning.

use std::fmt;
use std::path::Path;

use policy_core::diagnostic::Diagnostic;
use policy_core::model::{Knob, Profile, ProfileError};
use policy_core::source::{SourceMap, Span};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use crate::args::Options;
use crate::load;
use policy_core::near::near;

/// The profile that the options ask for, and what is wrong with them (IN-20).
pub(crate) fn resolve(options: &Options, sources: &mut SourceMap) -> (Profile, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let entries = options.profile.as_deref().map(|path| read(path, sources, &mut diagnostics)).unwrap_or_default();
    let from_file = entries.iter().find(|entry| entry.key == "preset").map(|entry| (entry.value.as_str(), entry.span));
    let preset = options.preset.as_deref().map(|name| (name, None)).or(from_file);
    let mut profile = Profile::default();
    if let Some((name, span)) = preset {
        match Profile::preset(name) {
            Ok(preset) => profile = preset,
            Err(error) => diagnostics.push(problem(&error, span)),
        }
    }
    for entry in entries.iter().filter(|entry| entry.key != "preset") {
        if let Err(error) = profile.set(&entry.key, &entry.value) {
            diagnostics.push(problem(&error, entry.span));
        }
    }
    for setting in &options.set {
        match setting.split_once('=') {
            Some((knob, value)) => {
                if let Err(error) = profile.set(knob.trim(), value.trim()) {
                    diagnostics.push(problem(&error, None));
                }
            }
            None => {
                let message = format!("`--set {setting}` sets nothing");
                diagnostics.push(Diagnostic::error("IN-20", None, message).help("write it as --set KNOB=VALUE"));
            }
        }
    }
    (profile, diagnostics)
}

struct Entry {
    key: String,
    value: String,
    span: Option<Span>,
}

fn read(path: &Path, sources: &mut SourceMap, diagnostics: &mut Vec<Diagnostic>) -> Vec<Entry> {
    let content = match load::read_text(path) {
        Ok(content) => content,
        Err(diagnostic) => {
            diagnostics.push(*diagnostic);
            return Vec::new();
        }
    };
    let Ok(text) = String::from_utf8(content.bytes) else {
        diagnostics.push(Diagnostic::error("IN-13", None, format!("`{}` is not UTF-8", content.name)));
        return Vec::new();
    };
    let source = sources.add(content.name, text.as_str());
    let span = |location: serde_saphyr::Location| {
        let (line, column) = (usize::try_from(location.line()).ok()?, usize::try_from(location.column()).ok()?);
        let line_text = text.split_inclusive('\n').nth(line.checked_sub(1)?)?;
        let line_start: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
        let into = line_text.char_indices().nth(column.checked_sub(1)?).map_or(line_text.len(), |(at, _)| at);
        let start = u32::try_from(line_start + into).ok()?;
        let end = u32::try_from(line_start + line_text.trim_end().len()).ok()?;
        Some(Span { source, start, end: end.max(start) })
    };
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Vec::new();
    }
    // `on` is a value of its own here, not a way to write `true`.
    let strict = serde_saphyr::options! { strict_booleans: true };
    match serde_saphyr::from_str_with_options::<Entries>(&text, strict) {
        Ok(Entries(entries)) => entries
            .into_iter()
            .map(|(key, value)| Entry { key, span: span(value.referenced), value: value.value.0 })
            .collect(),
        Err(error) => {
            let place = error.location().and_then(span);
            let message = format!("`{}` is no profile: {}", path.display(), error.without_snippet());
            let message = message.lines().next().unwrap_or_default().to_owned();
            diagnostics.push(
                Diagnostic::error("IN-20", place, message)
                    .help("a profile is a YAML map of knobs, such as `egress_service_view: pre_dnat`"),
            );
            Vec::new()
        }
    }
}

fn problem(error: &ProfileError, span: Option<Span>) -> Diagnostic {
    let (written, names): (&str, Vec<&str>) = match error {
        ProfileError::UnknownPreset { name } => (name, Profile::PRESETS.to_vec()),
        ProfileError::UnknownKnob { name } => (name, Knob::ALL.into_iter().map(Knob::name).collect()),
        ProfileError::BadValue { knob, value } => (value, knob.values().split('|').collect()),
    };
    let diagnostic = Diagnostic::error("IN-20", span, error.to_string());
    match near(written, names, 1).first() {
        Some(close) => diagnostic.help(format!("did you mean `{close}`?")),
        None => diagnostic,
    }
}

/// A map in the order of writing.
struct Entries(Vec<(String, Spanned<Value>)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;
        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of knobs")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(EntriesVisitor)
    }
}

/// A knob's value as `--set` takes it: a scalar, or a list joined with commas.
struct Value(String);

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueVisitor;
        impl<'de> Visitor<'de> for ValueVisitor {
            type Value = Value;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a knob's value")
            }
            fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
                Ok(Value(value.to_string()))
            }
            fn visit_str<E>(self, value: &str) -> Result<Value, E> {
                Ok(Value(value.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
                let mut parts = Vec::new();
                while let Some(part) = seq.next_element::<String>()? {
                    parts.push(part);
                }
                Ok(Value(parts.join(",")))
            }
        }
        deserializer.deserialize_any(ValueVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_file(text: &str, options: Options) -> (Profile, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("profile.yaml");
        std::fs::write(&path, text).unwrap();
        let mut sources = SourceMap::default();
        let (profile, diagnostics) = resolve(&Options { profile: Some(path), ..options }, &mut sources);
        let place = |d: &Diagnostic| d.primary.as_ref().map(|label| sources.text(label.span).to_owned());
        (profile, diagnostics.iter().map(|d| format!("{} {:?} {}", d.rule, place(d), d.message)).collect())
    }

    #[test]
    fn later_settings_win() {
        let options = Options { set: vec!["ipblock_matches_pods=true".to_owned()], ..Options::default() };
        let text = "preset: cilium\nenforcement: on\npod_cidrs: [10.0.0.0/8, 'fd00::/8']\nsctp_policy: false\n";
        let (profile, problems) = from_file(text, options);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(profile.preset, "cilium");
        assert!(profile.ipblock_matches_pods && !profile.ipblock_matches_nodes && !profile.sctp_policy);
        assert_eq!(profile.pod_cidrs.to_string(), "10.0.0.0/8,fd00::/8");
    }

    #[test] // IN-20
    fn every_bad_knob_is_reported_where_it_stands() {
        let (_, problems) = from_file("enforcment: on\nsctp_policy: maybe\n", Options::default());
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].starts_with("IN-20 Some(\"on\") no knob is called `enforcment`"), "{problems:?}");
        assert!(problems[1].starts_with("IN-20 Some(\"maybe\") `sctp_policy` does not take `maybe`"), "{problems:?}");
    }

    #[test] // IN-20
    fn broken_yaml_is_one_problem_with_a_place() {
        let (_, problems) = from_file("a: [1\n", Options::default());
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("IN-20 Some("), "{problems:?}");
    }

    #[test] // IN-20
    fn a_flag_without_a_value_is_explained() {
        let options = Options { set: vec!["sctp_policy".to_owned()], ..Options::default() };
        let (_, diagnostics) = resolve(&options, &mut SourceMap::default());
        assert_eq!(diagnostics.len(), 1);
        assert_eq!(diagnostics[0].help.as_deref(), Some("write it as --set KNOB=VALUE"));
    }
}
