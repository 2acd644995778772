// Package migrate takes over what the ARGO Messaging Service and its mapping of certificates keep in MongoDB: it reads what mongoexport writes, puts what it can into a
// resource.Directory, and says of the rest why not. What is there already stays as it is, so that it may be done again.
package migrate
