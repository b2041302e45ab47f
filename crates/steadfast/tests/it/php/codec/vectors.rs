//! Sessions and verdicts that were recorded from PHP.
