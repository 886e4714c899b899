"""The live view: a camera or an uploaded video in the browser, with predictions as they come."""
