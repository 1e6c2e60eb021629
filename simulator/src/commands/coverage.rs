//! `portolan coverage`.

use std::collections::BTreeMap;
use std::io::Read;

use policy_core::coverage::{Covered, Extent, coverage};
use policy_core::snapshot::Effect;
use policy_core::ties::ties;

use super::question::is_document;
use crate::args::{Format, Options};
use crate::caveats::Caveats;
use crate::dto::coverage::{Counts, CoverageAnswer, CoveredDto, SkippedFile, UnusedFieldDto};
use crate::dto::{self, Header};
use crate::exit::{Exit, Failure};
use crate::progress::Progress;
use crate::render::table::{Table, Text};
use crate::render::{Output, Tone, counted, escape};
use crate::session::{Input, Purpose};

pub(crate) fn run(
    options: &Options,
    format: Format,
    stdin: &mut dyn Read,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let progress = Progress::new(output.stderr_terminal && !output.quiet);
    let input = Input::open(options, Purpose::Account, stdin, &progress, output)?;
    drop(progress);
    output.diagnostics(vec![(ties(&input.cluster, &input.profile), &input.sources)])?;
    let answer = answer(&input);
    if is_document(format) {
        output.document(format, &answer)?;
        return Ok(Exit::Clean);
    }
    if matches!(format, Format::Md | Format::Csv) {
        output.table(format, &objects(&answer.objects))?;
        return Ok(Exit::Clean);
    }
    output.table(format, &kinds(&answer.objects))?;
    let open: Vec<_> =
        answer.objects.iter().filter(|object| format == Format::Wide || object.extent != "used").collect();
    if !open.is_empty() {
        writeln!(output.stdout)?;
        output.table(format, &objects(open))?;
    }
    if !answer.skipped_files.is_empty() {
        let files = counted(answer.skipped_files.len(), "file");
        writeln!(output.stdout, "\n{files} not read:")?;
        for file in &answer.skipped_files {
            writeln!(output.stdout, "  {} ({})", file.name, file.reason)?;
        }
    }
    if answer.header.coverage.incomplete {
        output.notice("incomplete", "part of the input was skipped; what was skipped is not counted here")?;
    }
    Ok(Exit::Clean)
}

fn answer(input: &Input) -> CoverageAnswer {
    let found = coverage(&input.snapshot);
    let caveats = Caveats::new(&input.cluster, &None).to_dto(&input.sources);
    let object = |covered: &Covered| {
        let place = |span: Option<_>| span.map(|span| input.sources.locate(span).to_string());
        let (extent, effect, fields) = match &covered.extent {
            Extent::Used => ("used", None, Vec::new()),
            Extent::NotModelled { effect } => ("notModelled", Some(dto::Effect::from(*effect)), Vec::new()),
            Extent::PartlyUsed { fields } => {
                let field = |field: &policy_core::coverage::UnusedField| UnusedFieldDto {
                    path: field.path.clone(),
                    reason: field.reason,
                    source: place(field.span),
                };
                ("partlyUsed", None, fields.iter().map(field).collect())
            }
        };
        CoveredDto {
            api_version: covered.api_version.to_string(),
            kind: covered.kind.to_string(),
            namespace: covered.namespace.as_ref().map(ToString::to_string),
            name: covered.name.as_ref().map(ToString::to_string),
            source: place(covered.span),
            extent,
            effect,
            unused_fields: fields,
        }
    };
    let counts = found.counts;
    CoverageAnswer {
        header: Header::new("CoverageAnswer", input.profile.preset, caveats),
        counts: Counts {
            used: counts.used,
            partly_used: counts.partly_used,
            harmless: counts.harmless,
            policy: counts.policy,
            way: counts.way,
            workload: counts.workload,
            unknown: counts.unknown,
        },
        objects: found.objects.iter().map(object).collect(),
        skipped_files: input
            .skipped
            .iter()
            .map(|skipped| SkippedFile { name: skipped.name.clone(), reason: skipped.reason })
            .collect(),
    }
}

/// One line for each kind.
fn kinds(objects: &[CoveredDto]) -> Table {
    let mut counts: BTreeMap<(&str, &str), [usize; 3]> = BTreeMap::new();
    for object in objects {
        let [used, partly, not] = counts.entry((&object.kind, &object.api_version)).or_default();
        *match object.extent {
            "used" => used,
            "partlyUsed" => partly,
            _ => not,
        } += 1;
    }
    let mut table = Table::new(&["kind", "apiVersion", "used", "partly used", "not modelled"]);
    for ((kind, api_version), [used, partly, not]) in counts {
        let number = |count: usize, tone| match count {
            0 => Text::toned(Tone::Faint, "0"),
            _ => Text::toned(tone, count.to_string()),
        };
        let (used, partly) = (number(used, Tone::Good), number(partly, Tone::Unsure));
        table.push(vec![escape(kind).into(), escape(api_version).into(), used, partly, number(not, Tone::Unsure)]);
    }
    table
}

/// One line for each object, or for each of its fields that were not used.
fn objects<'a>(objects: impl IntoIterator<Item = &'a CoveredDto>) -> Table {
    let mut table = Table::new(&["object", "extent", "what", "why", "place"]);
    for object in objects {
        let namespace = object.namespace.as_ref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
        let name = escape(&format!("{} {namespace}{}", object.kind, object.name.as_deref().unwrap_or_default()));
        let mut push = |what: &str, why: &str, place: &Option<String>| {
            let place = escape(place.as_deref().unwrap_or_default());
            let tone = if object.extent == "used" { Tone::Good } else { Tone::Unsure };
            let extent = Text::toned(tone, object.extent);
            table.push(vec![name.clone().into(), extent, escape(what).into(), why.into(), place.into()]);
        };
        match object.effect {
            Some(effect) => push("", meaning(effect), &object.source),
            None if object.unused_fields.is_empty() => push("", "", &object.source),
            None => object.unused_fields.iter().for_each(|field| push(&field.path, field.reason, &field.source)),
        }
    }
    table
}

fn meaning(effect: dto::Effect) -> &'static str {
    let effect = match effect {
        dto::Effect::None => Effect::None,
        dto::Effect::Policy => Effect::Policy,
        dto::Effect::Way => Effect::Way,
        dto::Effect::Workload => Effect::Workload,
        dto::Effect::Unknown => Effect::Unknown,
    };
    crate::caveats::consequence(effect)
}
