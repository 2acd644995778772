// Package browser drives the pages that the project ships in a headless Chromium, against the built sluice. The tests
// are its only content.
package browser
