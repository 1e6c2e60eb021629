//! What the questions share: names resolved, caveats said, documents printed.

use std::io;

use policy_core::model::Verdict;
use policy_core::query::{Subject, SubjectError, SubjectProblem, Target};
use serde::Serialize;

use crate::api_user::ApiUser;
use crate::args::Format;
use crate::caveats::{Caveats, Scope};
use crate::dto::Header;
use crate::exit::Failure;
use crate::names::Names;
use crate::render::table::Table;
use crate::render::{Output, Tone, escape};
use crate::session::Session;

/// Who opens a connection, or asks the API server to.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// Somebody in the network.
    Subject(Subject),
    /// A user of the API server.
    User(ApiUser),
}

/// What to say of users as destinations.
pub(crate) const NO_DESTINATION: &str =
    "users open connections and take none: `portolan where USER` tells what one reaches";

impl Session {
    /// The source of a question.
    pub(crate) fn source(&self, text: &str) -> Result<Source, Failure> {
        match self.user(text)? {
            Some(user) => Ok(Source::User(user)),
            None => self.subject(text).map(Source::Subject),
        }
    }

    /// A user of the API server; `None` for all other names.
    fn user(&self, text: &str) -> Result<Option<ApiUser>, Failure> {
        Ok(ApiUser::read(&self.analysis.cluster, self.namespace.as_deref(), text).transpose()?)
    }

    /// Refuses a user where only somebody in the network can stand.
    pub(crate) fn no_user(&self, text: &str, help: &str) -> Result<(), Failure> {
        match ApiUser::read(&self.analysis.cluster, self.namespace.as_deref(), text) {
            Some(Ok(_)) => Err(Failure::usage(format!("`{}` is a user of the API server", escape(text)), help)),
            Some(Err(_)) | None => Ok(()),
        }
    }

    /// One end of a question, in the network.
    pub(crate) fn subject(&self, text: &str) -> Result<Subject, Failure> {
        Subject::parse(&self.analysis.cluster, self.namespace.as_deref(), text).map_err(unknown)
    }

    /// A destination with its port.
    pub(crate) fn target(&self, text: &str) -> Result<Target, Failure> {
        self.no_user(text, NO_DESTINATION)?;
        Target::parse(&self.analysis.cluster, &self.analysis.profile, self.namespace.as_deref(), text).map_err(unknown)
    }

    pub(crate) fn names(&self) -> Names<'_> {
        Names::new(&self.analysis, &self.sources)
    }

    /// The namespaces whose policies decide between these subjects.
    pub(crate) fn scope(&self, subjects: &[&Subject]) -> Scope {
        let cluster = &self.analysis.cluster;
        let name = |id| cluster.namespaces.at(id).name.clone();
        let mut scope = std::collections::BTreeSet::new();
        for subject in subjects {
            match subject {
                Subject::Workload(id) => scope.extend([name(cluster.workloads.at(*id).namespace)]),
                Subject::Pod(id) => scope.extend([name(cluster.pods.at(*id).namespace)]),
                Subject::Namespace(id) => scope.extend([name(*id)]),
                Subject::Node(_) | Subject::Internet | Subject::Name(_) => {}
                // Pods of any namespace may have such an address.
                Subject::Address(_) | Subject::Cidr(_) | Subject::Everything => return None,
            }
        }
        Some(scope)
    }

    /// Says what the answer leaves out, and gives it to documents.
    pub(crate) fn header(&self, kind: &'static str, scope: &Scope, output: &mut Output<'_>) -> Result<Header, Failure> {
        let caveats = Caveats::new(&self.analysis.cluster, scope);
        caveats.print(&self.sources, output)?;
        Ok(Header::new(kind, self.analysis.profile.preset, caveats.to_dto(&self.sources)))
    }
}

/// A name that names nothing, or too much, with what could be meant.
pub(crate) fn unknown(error: SubjectError) -> Failure {
    let near: Vec<String> = error.near.iter().map(|name| format!("`{}`", escape(name))).collect();
    let help = match error.problem {
        _ if near.is_empty() => None,
        SubjectProblem::Ambiguous => Some(format!("write one of {}", near.join(", "))),
        _ => Some(format!("near matches: {}", near.join(", "))),
    };
    // The near matches are said once, as help.
    let message = match error.problem {
        SubjectProblem::Ambiguous => format!("`{}` names several things", escape(&error.written)),
        SubjectProblem::Unknown => format!("nothing in the input is called `{}`", escape(&error.written)),
        SubjectProblem::Malformed(why) => format!("`{}` cannot be read: {why}", escape(&error.written)),
        SubjectProblem::InCluster(why) => format!("`{}`: {why}", escape(&error.written)),
    };
    Failure::Usage { message, help }
}

/// The colour of a verdict.
pub(crate) fn tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Allowed => Tone::Good,
        Verdict::Denied | Verdict::NoRoute | Verdict::NoListener => Tone::Bad,
        Verdict::Conditional | Verdict::Undefined => Tone::Unsure,
    }
}

impl Output<'_> {
    /// A document as JSON or YAML.
    pub(crate) fn document(&mut self, format: Format, document: &impl Serialize) -> io::Result<()> {
        if format == Format::Yaml {
            let text = serde_saphyr::to_string(document).map_err(io::Error::other)?;
            return self.stdout.write_all(text.as_bytes());
        }
        serde_json::to_writer_pretty(&mut *self.stdout, document)?;
        writeln!(self.stdout)
    }

    /// A document that may be huge: JSON without spaces.
    pub(crate) fn large_document(&mut self, format: Format, document: &impl Serialize) -> io::Result<()> {
        if format == Format::Yaml {
            return self.document(format, document);
        }
        serde_json::to_writer(&mut *self.stdout, document)?;
        writeln!(self.stdout)
    }

    /// A table as columns, Markdown or CSV.
    pub(crate) fn table(&mut self, format: Format, table: &Table) -> io::Result<()> {
        match format {
            Format::Md => table.markdown(self.stdout),
            Format::Csv => table.csv(self.stdout),
            _ => table.aligned(self.stdout, self.palette),
        }
    }
}

/// Whether a format prints a document instead of text.
pub(crate) fn is_document(format: Format) -> bool {
    matches!(format, Format::Json | Format::Yaml)
}
