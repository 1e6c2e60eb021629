//! One request at proxies, Services and the API server.
