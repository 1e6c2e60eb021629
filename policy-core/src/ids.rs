//! Index newtypes, and the vector that only its own index type opens.

use std::fmt;
use std::marker::PhantomData;

/// An index that was handed out by an [`IdVec`].
pub trait Id: Copy + Eq + Ord + fmt::Debug {
    /// The id of the `index`-th element. Saturates: an [`IdVec`] never grows past `u32::MAX` elements.
    fn from_index(index: usize) -> Self;
    /// The position of this element.
    fn index(self) -> usize;
}

/// Declares an index newtype over `u32`.
#[macro_export]
macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(u32);

        impl $name {
            /// The id of the first element.
            pub const FIRST: Self = Self(0);
        }

        impl $crate::ids::Id for $name {
            fn from_index(index: usize) -> Self {
                Self(u32::try_from(index).unwrap_or(u32::MAX))
            }
            fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

id_type!(
    /// A namespace of a [`Cluster`](crate::model::Cluster).
    NamespaceId
);
id_type!(
    /// A node of a [`Cluster`](crate::model::Cluster).
    NodeId
);
id_type!(
    /// A workload: the pods of one owner.
    WorkloadId
);
id_type!(
    /// A pod, or the template that stands for the pods of a workload.
    PodId
);
id_type!(
    /// A NetworkPolicy.
    PolicyId
);
id_type!(
    /// A Service.
    ServiceId
);
id_type!(
    /// An Ingress.
    IngressId
);
id_type!(
    /// An Ingress controller or a Gateway.
    ProxyId
);
id_type!(
    /// A ClusterNetworkPolicy, AdminNetworkPolicy or BaselineAdminNetworkPolicy.
    ClusterPolicyId
);

id_type!(
    /// A Role or ClusterRole.
    RoleId
);
id_type!(
    /// A RoleBinding or ClusterRoleBinding.
    BindingId
);

id_type!(
    /// A domain pattern of cluster-wide policies.
    DomainId
);

/// A vector indexed by one id type.
#[derive(Clone, PartialEq, Eq)]
pub struct IdVec<I, T> {
    items: Vec<T>,
    id: PhantomData<I>,
}

impl<I, T> Default for IdVec<I, T> {
    fn default() -> Self {
        Self { items: Vec::new(), id: PhantomData }
    }
}

impl<I, T: fmt::Debug> fmt::Debug for IdVec<I, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.items.fmt(f)
    }
}

impl<I: Id, T> IdVec<I, T> {
    /// An empty vector.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends `item` and returns its id.
    pub fn push(&mut self, item: T) -> I {
        let id = I::from_index(self.items.len());
        self.items.push(item);
        id
    }

    /// The number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The element, or `None` for an id of another vector.
    #[must_use]
    pub fn get(&self, id: I) -> Option<&T> {
        self.items.get(id.index())
    }

    /// The element of an id that this vector handed out.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "ids come from this vector's own push; the one indexing place")]
    pub fn at(&self, id: I) -> &T {
        &self.items[id.index()]
    }

    /// The element of an id that this vector handed out, mutable.
    #[expect(clippy::indexing_slicing, reason = "ids come from this vector's own push; the one indexing place")]
    pub fn at_mut(&mut self, id: I) -> &mut T {
        &mut self.items[id.index()]
    }

    /// The element, mutable.
    pub fn get_mut(&mut self, id: I) -> Option<&mut T> {
        self.items.get_mut(id.index())
    }

    /// All ids in order.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = I> + use<I, T> {
        (0..self.items.len()).map(I::from_index)
    }

    /// All elements in id order.
    pub fn values(&self) -> std::slice::Iter<'_, T> {
        self.items.iter()
    }

    /// All elements with their ids, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (I, &T)> {
        self.items.iter().enumerate().map(|(index, item)| (I::from_index(index), item))
    }
}

impl<I: Id, T> FromIterator<T> for IdVec<I, T> {
    fn from_iter<It: IntoIterator<Item = T>>(items: It) -> Self {
        Self { items: items.into_iter().collect(), id: PhantomData }
    }
}
