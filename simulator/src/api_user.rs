//! Users of the API server as people name them: `user/alice`, `group/dev`, `serviceaccount/shop/web` (M-1).

use policy_core::model::{Cluster, User, Who};
use policy_core::query::Subject;

use crate::exit::Failure;
use crate::render::escape;

/// A user, a member of a group, or an account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ApiUser {
    /// The name that reads back as this.
    pub(crate) written: String,
    /// Whom the API server takes it for.
    pub(crate) user: User,
}

/// Why a text that begins like the name of a user is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Misnamed {
    pub(crate) message: String,
    pub(crate) help: String,
}

impl From<Misnamed> for Failure {
    fn from(wrong: Misnamed) -> Self {
        Self::usage(wrong.message, wrong.help)
    }
}

/// The words that tell a user, a group and an account from everything else.
enum Kind {
    User,
    Group,
    Account,
}

fn kind(word: &str) -> Option<Kind> {
    let is = |known: &[&str]| known.iter().any(|known| word.eq_ignore_ascii_case(known));
    match () {
        () if is(&["user", "users"]) => Some(Kind::User),
        () if is(&["group", "groups"]) => Some(Kind::Group),
        () if is(&["serviceaccount", "serviceaccounts", "sa"]) => Some(Kind::Account),
        () => None,
    }
}

impl ApiUser {
    /// Somebody whom a binding names so.
    pub(crate) fn of(who: &Who) -> Self {
        let written = match who {
            Who::User(name) => format!("user/{name}"),
            Who::Group(name) => format!("group/{name}"),
            Who::ServiceAccount { namespace, name } => format!("serviceaccount/{namespace}/{name}"),
        };
        Self { written, user: User::of(who) }
    }

    /// Reads a name; `None` when it is not one of a user at all. `namespace` is where accounts are that do not say theirs.
    ///
    /// Names of namespaces have no capitals: where a namespace is called `user`, `User/alice` is still the user.
    ///
    /// # Errors
    /// [`Misnamed`] when it is a user's and cannot be read, or may as well be something else.
    pub(crate) fn read(cluster: &Cluster, namespace: Option<&str>, text: &str) -> Option<Result<Self, Misnamed>> {
        let (first, rest) = text.split_once('/')?;
        let read = match kind(first) {
            Some(Kind::User) => named(text, rest, "user", Who::User),
            Some(Kind::Group) => named(text, rest, "group", Who::Group),
            Some(Kind::Account) => match rest.split_once('/') {
                Some((space, name)) => account(text, space, name),
                None => match namespace {
                    Some(space) => account(text, space, rest),
                    None => Err(no_namespace(text, rest)),
                },
            },
            None => {
                let (word, name) = rest.split_once('/')?;
                if !matches!(kind(word), Some(Kind::Account)) {
                    return None;
                }
                account(text, first, name)
            }
        };
        let other = Subject::look_up(cluster, namespace, text).ok();
        Some(match (read, other) {
            (Ok(_), Some(other)) => Err(ambiguous(text, first, rest, &other.written(cluster))),
            (read, _) => read,
        })
    }
}

fn named(text: &str, name: &str, word: &str, who: fn(policy_core::model::Name) -> Who) -> Result<ApiUser, Misnamed> {
    if name.is_empty() || name.chars().any(char::is_control) {
        let message = format!("`{}` names no {word}", escape(text));
        let example = if word == "user" { "alice" } else { "dev" };
        let help = format!("write {word}/NAME, with the name that bindings give the {word}, such as {word}/{example}");
        return Err(Misnamed { message, help });
    }
    Ok(ApiUser::of(&who(name.into())))
}

fn account(text: &str, space: &str, name: &str) -> Result<ApiUser, Misnamed> {
    let is_name = |name: &str| {
        let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
        !name.is_empty() && name.bytes().all(inside)
    };
    if is_name(space) && is_name(name) {
        return Ok(ApiUser::of(&Who::ServiceAccount { namespace: space.into(), name: name.into() }));
    }
    let message = format!("`{}` names no ServiceAccount", escape(text));
    let help = "write serviceaccount/NAMESPACE/NAME; both are lower case letters, digits, `-` and `.`".to_owned();
    Err(Misnamed { message, help })
}

fn no_namespace(text: &str, name: &str) -> Misnamed {
    let example = if name.is_empty() { "NAME".to_owned() } else { escape(name) };
    Misnamed {
        message: format!("`{}` does not say in which namespace the ServiceAccount is", escape(text)),
        help: format!("write serviceaccount/NAMESPACE/{example}, or give the namespace with -n"),
    }
}

fn ambiguous(text: &str, first: &str, rest: &str, other: &str) -> Misnamed {
    let mut capital = first.to_owned();
    if let Some(letter) = capital.get_mut(..1) {
        letter.make_ascii_uppercase();
    }
    Misnamed {
        message: format!("`{}` names several things", escape(text)),
        help: format!(
            "write `{}` for what the input has, or `{capital}/{}` for the API server's",
            escape(other),
            escape(rest)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy_core::ids::Id;
    use policy_core::model::{LabelSet, Name, Namespace, Workload, WorkloadKind};

    /// A namespace `user` with a workload `web`.
    fn cluster() -> Cluster {
        let mut cluster = Cluster::default();
        cluster.namespaces.push(Namespace { name: Name::from("user"), labels: LabelSet::default(), span: None });
        cluster.workloads.push(Workload {
            namespace: Id::from_index(0),
            kind: WorkloadKind::Deployment,
            name: Name::from("web"),
            pods: Vec::new(),
            span: None,
        });
        cluster
    }

    fn read(text: &str) -> Option<Result<String, Misnamed>> {
        let read = ApiUser::read(&cluster(), None, text)?;
        Some(read.map(|user| format!("{} {}", user.written, user.user.name)))
    }

    #[test]
    fn users_groups_and_accounts_have_names() {
        // M-1
        for (text, wanted) in [
            ("user/alice", "user/alice alice"),
            ("User/web", "user/web web"),
            ("user/https://id.example.org#7", "user/https://id.example.org#7 https://id.example.org#7"),
            ("group/dev", "group/dev "),
            ("serviceaccount/shop/web", "serviceaccount/shop/web system:serviceaccount:shop:web"),
            ("sa/shop/web", "serviceaccount/shop/web system:serviceaccount:shop:web"),
            ("shop/sa/web", "serviceaccount/shop/web system:serviceaccount:shop:web"),
        ] {
            assert_eq!(read(text), Some(Ok(wanted.to_owned())), "{text}");
        }
        let own = ApiUser::read(&cluster(), Some("shop"), "serviceaccount/web");
        assert_eq!(own.unwrap().unwrap().written, "serviceaccount/shop/web");
    }

    #[test]
    fn other_names_are_left_alone() {
        for text in ["user", "shop/web", "shop/user/web", "deploy/web", "users.example.org", "*", "10.0.0.0/8"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_says_what_to_write() {
        // M-1
        for (text, help) in [
            ("user/", "user/NAME"),
            ("group/", "group/NAME"),
            ("serviceaccount/x", "serviceaccount/NAMESPACE/x"),
            ("serviceaccount/", "serviceaccount/NAMESPACE/NAME"),
            ("serviceaccount/shop/", "serviceaccount/NAMESPACE/NAME"),
            ("serviceaccount/Shop/web", "lower case"),
            ("sa/shop/web/more", "serviceaccount/NAMESPACE/NAME"),
            ("user/web", "`user/deployment/web`"),
            ("user/web", "`User/web`"),
        ] {
            let wrong = read(text).unwrap().unwrap_err();
            assert!(wrong.message.contains(text), "{text}: {}", wrong.message);
            assert!(wrong.help.contains(help), "{text}: {}", wrong.help);
        }
    }
}
