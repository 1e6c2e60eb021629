//! The command line: what can be asked, and the examples that teach it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

const EXAMPLES: &str = "\
Examples:
  portolan can shop/web shop/cart:7070 -f k8s/       may web talk to cart on TCP 7070?
  portolan who shop/db:5432 -f k8s/                  who reaches the database
  portolan where shop/web -f k8s/                    what a compromised web pod reaches
  portolan explain shop/web shop/cart:7070 -f k8s/   why: each policy and rule, with file and line
  portolan list -f k8s/ -o json                      all connections
  kubectl get ns,no,po,deploy,sts,ds,netpol -A -o json | portolan matrix -p 443 -f -

Names:
  shop/web   deploy/web   shop/pod/web-0   shop/* (a namespace)   node/n1
  10.0.0.1   2001:db8::/32   internet   www.example.org (as a destination)
  shop/svc/web   web.shop.svc   https://shop.example.com/ (as destinations)
  user/alice   group/dev   serviceaccount/shop/robot (users of the API server, as sources)
  A port stands behind a colon: shop/web:http, shop/dns:53/udp, 10.0.0.1:443, [2001:db8::1]:443

Exit status:
  0  everything asked about is allowed, or there was nothing to find
  1  something is not allowed: denied, undefined, conditional, no-route, no-listener
  2  could not run: bad usage or bad input; no answer was given";

/// Who can reach which pod and port under NetworkPolicy and cluster-wide policies, from manifests, exactly and with
/// the reason.
#[derive(Parser, Debug)]
#[command(name = "portolan", version, about, after_help = EXAMPLES, disable_help_subcommand = true, max_term_width = 110)]
pub struct Cli {
    /// Options before the command.
    #[command(flatten)]
    pub options: Options,
    /// The question.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes, before or after its name.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Input and output")]
pub struct Options {
    /// A manifest file, a folder (read recursively: *.yaml *.yml *.json *.jsonl), or - for standard input; repeatable
    #[arg(short = 'f', long = "filename", value_name = "PATH")]
    pub files: Vec<PathBuf>,
    /// The namespace of objects and of names that do not say theirs [default: default]
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// A YAML file of knobs (knob: value, and preset: NAME); `portolan profile` prints one
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
    /// Knob values of an implementation: default, portolan, cilium, calico, kindnet, flannel
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// One knob; wins over --preset and --profile; repeatable
    #[arg(long = "set", value_name = "KNOB=VALUE")]
    pub set: Vec<String>,
    /// Skip what is bad in the input and mark every answer incomplete, instead of refusing to answer
    #[arg(long)]
    pub keep_going: bool,
    /// The largest file to read, such as 64MiB [default: 256MiB for YAML, 2GiB for JSON]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub max_file_size: Option<u64>,
    /// How the answer is printed [default: table]
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<Format>,
    /// When to colour [default: auto; NO_COLOR is respected]
    #[arg(long, value_name = "WHEN")]
    pub color: Option<Color>,
    /// No warnings and no notices on standard error
    #[arg(short, long)]
    pub quiet: bool,
}

impl Options {
    /// The options of both places; those behind the command win where only one value can hold.
    #[must_use]
    pub fn and(self, later: Self) -> Self {
        Self {
            files: self.files.into_iter().chain(later.files).collect(),
            namespace: later.namespace.or(self.namespace),
            profile: later.profile.or(self.profile),
            preset: later.preset.or(self.preset),
            set: self.set.into_iter().chain(later.set).collect(),
            keep_going: self.keep_going || later.keep_going,
            max_file_size: later.max_file_size.or(self.max_file_size),
            output: later.output.or(self.output),
            color: later.color.or(self.color),
            quiet: self.quiet || later.quiet,
        }
    }
}

/// How an answer is printed.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Columns for people.
    Table,
    /// More columns.
    Wide,
    /// A versioned JSON document (see docs/json.md).
    Json,
    /// The same as YAML.
    Yaml,
    /// A Markdown table.
    Md,
    /// Comma-separated values.
    Csv,
    /// Graphviz.
    Dot,
}

impl Format {
    /// The name on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Wide => "wide",
            Self::Json => "json",
            Self::Yaml => "yaml",
            Self::Md => "md",
            Self::Csv => "csv",
            Self::Dot => "dot",
        }
    }
}

/// When to colour.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Color {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// One question.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// May FROM open a connection to TO? Like `kubectl auth can-i`
    Can(CanArgs),
    /// Who can reach TO
    Who(WhoArgs),
    /// What FROM can reach: the blast radius of a compromised pod
    Where(WhereArgs),
    /// All connections that are allowed, grouped by classes of pods that policies treat alike
    List(ListArgs),
    /// Everything that can be reached from outside the cluster: way by way, hop by hop
    Exposed(ExposedArgs),
    /// What becomes of one request: which proxy, which rule, which backends, and why
    Route(RouteArgs),
    /// A truth table of all workloads
    Matrix(MatrixArgs),
    /// Why FROM may or may not reach TO: both ends, each tier, each policy, each rule, with file and line
    Explain(ExplainArgs),
    /// What of the input was used, partly used or not modelled
    Coverage(CoverageArgs),
    /// JSON lines of questions in, JSON lines of answers out, in the same order
    Batch(BatchArgs),
    /// The reachability graph
    Graph(GraphArgs),
    /// The knobs in effect, as a profile file
    Profile(ProfileArgs),
    /// The JSON schema of a document that `-o json` prints
    Schema(SchemaArgs),
    /// A completion script for a shell
    Completions(CompletionsArgs),
}

/// `can`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portolan can web cart:7070 -n shop -f k8s/         two workloads of namespace shop
  portolan can internet shop/web:https -f k8s/       a port by its name
  portolan can shop/web kube-system/dns:53/udp -f k8s/
  portolan can shop/web www.example.org:443 -f k8s/  what DNS gives for a name outside
  portolan can user/alice shop/cart:8080 -f k8s/     by the API server's proxies, port-forward, exec
  portolan can 'shop/*' 10.0.0.0/8:443 -f k8s/ -o wide
      Every pod of a namespace to every address of a CIDR: the exact partition, and an example
      flow for each part.

Without a port, every port of every protocol is asked about; of users of the API server, the TCP
ports that the pod declares.
Exit status: 0 all of it is allowed, 1 some of it is not, 2 there is no answer.")]
pub struct CanArgs {
    /// Who opens the connection, or asks the API server to
    pub from: String,
    /// Who gets it: NAME[:PORT[/PROTOCOL]] or a URL
    pub to: String,
    /// Options behind the command.
    #[command(flatten)]
    pub options: Options,
}

/// `who`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portolan who shop/db:5432 -f k8s/
  portolan who 'shop/*' -f k8s/ -o md                who reaches any pod of the namespace
  portolan who shop/db:5432 --hypothetical -f k8s/   also pods that only policies name

Pods and nodes come first, then the ways from outside, then the users of the API server whom a
binding lets in.")]
pub struct WhoArgs {
    /// Who is reached: NAME[:PORT[/PROTOCOL]]
    pub to: String,
    /// Also the pods that policies name and the input lacks
    #[arg(long)]
    pub hypothetical: bool,
    /// Options behind the command.
    #[command(flatten)]
    pub options: Options,
}

/// `where`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portolan where shop/web -f k8s/
  portolan where internet -f k8s/                   what is open to the world, way by way
  portolan where user/alice -f k8s/                 what a user of the API server gets at
  portolan where shop/web -f k8s/ -o json")]
pub struct WhereArgs {
    /// Who opens connections, or asks the API server to
    pub from: String,
    /// Also the pods that policies name and the input lacks
    #[arg(long)]
    pub hypothetical: bool,
    /// Options behind the command.
    #[command(flatten)]
    pub options: Options,
}

/// `list`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portolan list -f k8s/                              one line for each pair of groups
  portolan list -f k8s/ --pairs -o csv               one line for each pair of workloads
  portolan list -f k8s/ --hypothetical")]
pub struct ListArgs {
    /// One line for each pair of workloads instead of groups
    #[arg(long)]
    pub pairs: bool,
    /// The most pairs to print
    #[arg(long, value_name = "N", default_value_t = 5_000_000)]
    pub max_pairs: usize,
    /// Also the pods that policies name and the input lacks
    #[arg(long)]
    pub hypothetical: bool,
    /// Options behind the command.
    #[command(flatten)]
    pub options: Options,
}

/// `matrix`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portolan matrix -f k8s/                           which ports each workload may reach on each other
  portolan matrix -f k8s/ -p 443                    one port: yes, no, or what it depends on
  portolan matrix -f k8s/ -p 53/udp -o md")]
pub struct MatrixArgs {
    /// One port: NUMBER or NAME, with /udp or /sctp when it is not TCP
    #[arg(short, long, value_name = "PORT[/PROTOCOL]")]
    pub port: Option<String>,
    /// The most workloads to print a table of
    #[arg(long, value_name = "N", default_value_t = 150)]
    pub max_workloads: usize,
    /// Options behind the command.
    #[command(flatten)]
    pub options: Options,
}

/// `exposed`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portolan exposed -f k8s/                          the widest open first
  portolan exposed -f k8s/ --all -o wide            also what nobody gets through, with rules and places
  portolan exposed -f k8s/ -o json

Behind the ways stand the users who may ask the API server for pods, by which rule of which role.
What manifests do not tell (a load balancer's address, an allocated node port, nodes) is taken as
given and marked hypothetical. Exit status: 0, whatever is exposed; 2 there is no answer.")]
pub struct ExposedArgs {
    /// Also the ways that nobody gets through
    #[arg(long)]
    pub all: bool,
    /// Options behind the command.
    #[command(flatten)]
    pub options: Options,
}

/// `route`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portolan route http://shop.example.com/cart -f k8s/
  portolan route https://shop.example.com/ --method POST --header 'X-Version: two' -f k8s/
  portolan route http://web.shop.svc.cluster.local:8080/ --from shop/api -f k8s/
  portolan route https://203.0.113.10/ --header 'Host: shop.example.com' --sni shop.example.com -f k8s/

The host is a name that Ingresses or Gateways serve, the name or address of a Service, a load
balancer, a node or a pod, or the API server with a URL of its proxy.
Exit status: 0 the request reaches a backend, 1 it does not, or not for sure, 2 there is no answer.")]
pub struct RouteArgs {
    /// The URL: `http://HOST[:PORT][/PATH][?QUERY]`, or https
    pub url: String,
    /// Who makes the request
    #[arg(long, value_name = "WHO", default_value = "internet")]
    pub from: String,
    /// The method
    #[arg(long, value_name = "METHOD", default_value = "GET")]
    pub method: String,
    /// A header; repeatable; `Host` goes before the host of the URL
    #[arg(long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// The server name of the TLS handshake, when it is not the host of the URL
    #[arg(long, value_name = "NAME")]
    pub sni: Option<String>,
    /// Options behind the command.
    #[command(flatten)]
    pub options: Options,
}

/// `explain`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portolan explain shop/web shop/cart:7070 -f k8s/
  portolan explain 203.0.113.7 shop/web:http -f k8s/
  portolan explain user/alice shop/cart:8080 -f k8s/ rights and bindings, then each connection

A set (a namespace, a CIDR, a workload whose pods differ) is explained by one flow for each part
of the answer. Exit status: as for `can`.")]
pub struct ExplainArgs {
    /// Who opens the connection
    pub from: String,
    /// Who gets it: NAME:PORT[/PROTOCOL]
    pub to: String,
    /// Options behind the command.
    #[command(flatten)]
    pub options: Options,
}

/// `coverage`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portolan coverage -f k8s/                         counts by kind, then everything that was not wholly used
  portolan coverage -f k8s/ -o json")]
pub struct CoverageArgs {
    /// Options behind the command.
    #[command(flatten)]
    pub options: Options,
}

/// `batch`.
#[derive(Args, Debug)]
#[command(after_help = r#"Examples:
  portolan batch -f k8s/ questions.jsonl > answers.jsonl
  echo '{"id":1,"from":"shop/web","to":"shop/cart","port":7070}' | portolan batch -f k8s/

A question is {"id"?, "from", "to", "port"?, "protocol"?}: the port is a number or a name, the
protocol is TCP unless it says UDP or SCTP; or {"id"?, "from", "url", "method"?, "headers"?, "sni"?}.
Names mean what they mean to `can`, and so do answers. The answer has the same id. A line that is no question
is answered by {"id", "error"}; the rest is still answered, and the exit status is 2.
See docs/json.md."#)]
pub struct BatchArgs {
    /// The file of questions; standard input when it is left out or -
    pub questions: Option<PathBuf>,
    /// Options behind the command.
    #[command(flatten)]
    pub options: Options,
}

/// `graph`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portolan graph -f k8s/ -o dot | dot -Tsvg > reach.svg
  portolan graph -f k8s/ -o dot --only ways         ways from outside alone
  portolan graph -f k8s/ -o json")]
pub struct GraphArgs {
    /// Only what policies admit, or only ways from outside and Services
    #[arg(long, value_name = "WHAT")]
    pub only: Option<GraphPart>,
    /// The most edges to print
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub max_edges: usize,
    /// Options behind the command.
    #[command(flatten)]
    pub options: Options,
}

/// A part of the graph.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum GraphPart {
    /// What policies admit between groups of endpoints.
    Policies,
    /// Ways from outside, and what stands behind Services.
    Ways,
}

/// `profile`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portolan profile --preset cilium > cilium.yaml    a file for --profile
  portolan profile --set egress_service_view=pre_dnat")]
pub struct ProfileArgs {
    /// Options behind the command.
    #[command(flatten)]
    pub options: Options,
}

/// `schema`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portolan schema                                   the kinds of documents
  portolan schema CanAnswer > can-answer.json")]
pub struct SchemaArgs {
    /// The kind of document; all kinds are listed when it is left out
    pub kind: Option<String>,
    /// Options behind the command.
    #[command(flatten)]
    pub options: Options,
}

/// `completions`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portolan completions bash > /etc/bash_completion.d/portolan
  portolan completions zsh > ~/.zfunc/_portolan")]
pub struct CompletionsArgs {
    /// The shell
    pub shell: clap_complete::Shell,
    /// Options behind the command.
    #[command(flatten)]
    pub options: Options,
}

impl Command {
    /// The options behind the command's name.
    pub(crate) fn options(&self) -> &Options {
        match self {
            Self::Can(args) => &args.options,
            Self::Who(args) => &args.options,
            Self::Where(args) => &args.options,
            Self::List(args) => &args.options,
            Self::Exposed(args) => &args.options,
            Self::Route(args) => &args.options,
            Self::Matrix(args) => &args.options,
            Self::Explain(args) => &args.options,
            Self::Coverage(args) => &args.options,
            Self::Batch(args) => &args.options,
            Self::Graph(args) => &args.options,
            Self::Profile(args) => &args.options,
            Self::Schema(args) => &args.options,
            Self::Completions(args) => &args.options,
        }
    }

    /// The command's name.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Can(_) => "can",
            Self::Who(_) => "who",
            Self::Where(_) => "where",
            Self::List(_) => "list",
            Self::Exposed(_) => "exposed",
            Self::Route(_) => "route",
            Self::Matrix(_) => "matrix",
            Self::Explain(_) => "explain",
            Self::Coverage(_) => "coverage",
            Self::Batch(_) => "batch",
            Self::Graph(_) => "graph",
            Self::Profile(_) => "profile",
            Self::Schema(_) => "schema",
            Self::Completions(_) => "completions",
        }
    }

    /// The formats that the command prints, its default first.
    pub(crate) fn formats(&self) -> &'static [Format] {
        use Format::{Csv, Dot, Json, Md, Table, Wide, Yaml};
        match self {
            Self::Can(_) | Self::Explain(_) | Self::Route(_) => &[Table, Wide, Json, Yaml],
            Self::Who(_) | Self::Where(_) | Self::List(_) | Self::Exposed(_) | Self::Matrix(_) | Self::Coverage(_) => {
                &[Table, Wide, Json, Yaml, Md, Csv]
            }
            Self::Batch(_) | Self::Schema(_) => &[Json],
            Self::Graph(_) => &[Dot, Json],
            Self::Profile(_) => &[Yaml, Json],
            Self::Completions(_) => &[],
        }
    }
}

/// A number of bytes: `1048576`, `64MiB`, `1GB`, `512k`.
fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.strip_prefix(digits).unwrap_or_default().to_ascii_lowercase();
    let scale: u64 = match unit.as_str() {
        "" | "b" => 1,
        "k" | "ki" | "kib" => 1 << 10,
        "m" | "mi" | "mib" => 1 << 20,
        "g" | "gi" | "gib" => 1 << 30,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return Err(format!("`{unit}` is no unit; use KiB, MiB, GiB, KB, MB or GB")),
    };
    let number: u64 = digits.parse().map_err(|_| "a size is a whole number with a unit, such as 64MiB".to_owned())?;
    number.checked_mul(scale).ok_or_else(|| "that is more bytes than there are".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_hold_on_both_sides_of_the_command() {
        let cli = Cli::parse_from(["portolan", "-f", "a", "-o", "json", "can", "x", "y:80", "-f", "b", "-o", "yaml"]);
        let options = cli.options.clone().and(cli.command.options().clone());
        assert_eq!(options.files, [PathBuf::from("a"), PathBuf::from("b")]);
        assert_eq!(options.output, Some(Format::Yaml));
    }

    #[test]
    fn sizes_take_units() {
        assert_eq!(parse_size("10"), Ok(10));
        assert_eq!(parse_size("64MiB"), Ok(64 << 20));
        assert_eq!(parse_size("1GB"), Ok(1_000_000_000));
        assert!(parse_size("1XB").is_err());
        assert!(parse_size("MiB").is_err());
        assert!(parse_size("99999999999GiB").is_err());
    }
}
