//! Attachment, references and validation of the Gateway API.
