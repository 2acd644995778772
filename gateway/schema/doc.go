// Package schema says whether messages are what a schema asks for: JSON Schema of all drafts, or Avro, for their data and for their attributes. Schemas and
// messages come from strangers: nothing is fetched, and neither can make a check take more than a bounded time.
package schema
