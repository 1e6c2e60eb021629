//! `portolan schema`.

use crate::args::SchemaArgs;
use crate::dto::schema;
use crate::exit::{Exit, Failure};
use crate::render::Output;

pub(crate) fn run(args: &SchemaArgs, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let Some(kind) = &args.kind else {
        for kind in schema::KINDS {
            writeln!(output.stdout, "{kind}")?;
        }
        return Ok(Exit::Clean);
    };
    let Some(text) = schema::schema(kind) else {
        let near = policy_core::near::near(kind, schema::KINDS, 1);
        let help = match near.first() {
            Some(close) => format!("did you mean {close}?"),
            None => format!("kinds are {}", schema::KINDS.join(", ")),
        };
        return Err(Failure::usage(format!("no document is of kind `{kind}`"), help));
    };
    output.stdout.write_all(text.as_bytes())?;
    Ok(Exit::Clean)
}
