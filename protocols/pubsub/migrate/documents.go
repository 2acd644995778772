package migrate

// The documents of the collections, with the keys that they have in MongoDB.
type (
	project struct {
		Made        ObjectID `json:"_id"`
		UUID        string   `json:"uuid"`
		Name        string   `json:"name"`
		Created     Time     `json:"created_on"`
		Modified    Time     `json:"modified_on"`
		CreatedBy   string   `json:"created_by"`
		Description string   `json:"description"`
	}
	user struct {
		Made         ObjectID     `json:"_id"`
		UUID         string       `json:"uuid"`
		Name         string       `json:"name"`
		FirstName    string       `json:"first_name"`
		LastName     string       `json:"last_name"`
		Organization string       `json:"organization"`
		Description  string       `json:"description"`
		Token        string       `json:"token"`
		Email        string       `json:"email"`
		Projects     []membership `json:"projects"`
		ServiceRoles []string     `json:"service_roles"`
		Created      Time         `json:"created_on"`
		Modified     Time         `json:"modified_on"`
		CreatedBy    string       `json:"created_by"`
	}
	membership struct {
		Project string   `json:"project_uuid"`
		Roles   []string `json:"roles"`
	}
	topic struct {
		Made     ObjectID `json:"_id"`
		Project  string   `json:"project_uuid"`
		Name     string   `json:"name"`
		Messages Int      `json:"msg_num"`
		Schema   string   `json:"schema_uuid"`
		Created  Time     `json:"created_on"`
		ACL      []string `json:"acl"`
	}
	subscription struct {
		Made                ObjectID `json:"_id"`
		Project             string   `json:"project_uuid"`
		Name                string   `json:"name"`
		Topic               string   `json:"topic"`
		Offset              Int      `json:"offset"`
		NextOffset          Int      `json:"next_offset"`
		PushType            string   `json:"push_type"`
		PushEndpoint        string   `json:"push_endpoint"`
		MaxMessages         Int      `json:"max_messages"`
		AuthorizationType   string   `json:"authorization_type"`
		AuthorizationHeader string   `json:"authorization_header"`
		Ack                 Int      `json:"ack"`
		RetryPolicy         string   `json:"retry_policy"`
		RetryPeriod         Int      `json:"retry_period"`
		VerificationHash    string   `json:"verification_hash"`
		Verified            bool     `json:"verified"`
		MattermostURL       string   `json:"mattermost_url"`
		MattermostUsername  string   `json:"mattermost_username"`
		MattermostChannel   string   `json:"mattermost_channel"`
		Base64Decode        bool     `json:"base_64_decode"`
		Created             Time     `json:"created_on"`
		ACL                 []string `json:"acl"`
	}
	schemaText struct {
		Made    ObjectID `json:"_id"`
		Project string   `json:"project_uuid"`
		UUID    string   `json:"uuid"`
		Name    string   `json:"name"`
		Type    string   `json:"type"`
		Raw     string   `json:"raw_schema"`
	}
	registration struct {
		UUID         string `json:"uuid"`
		Name         string `json:"name"`
		FirstName    string `json:"first_name"`
		LastName     string `json:"last_name"`
		Organization string `json:"organization"`
		Description  string `json:"description"`
		Email        string `json:"email"`
		Activation   string `json:"activation_token"`
		Status       string `json:"status"`
		Comment      string `json:"decline_comment"`
		Registered   Time   `json:"registered_at"`
		ModifiedBy   string `json:"modified_by"`
		Modified     Time   `json:"modified_at"`
	}
	serviceType struct {
		UUID       string   `json:"uuid"`
		Name       string   `json:"name"`
		Hosts      []string `json:"hosts"`
		AuthTypes  []string `json:"auth_types"`
		AuthMethod string   `json:"auth_method"`
		Type       string   `json:"type"`
		Created    Time     `json:"created_on"`
		Updated    Time     `json:"updated_on"`
	}
	authMethod struct {
		UUID    string            `json:"uuid"`
		Service string            `json:"service_uuid"`
		Host    string            `json:"host"`
		Port    Int               `json:"port"`
		Type    string            `json:"type"`
		Headers map[string]string `json:"headers"`
		Created Time              `json:"created_on"`
		Updated Time              `json:"updated_on"`
	}
	binding struct {
		UUID       string `json:"uuid"`
		Name       string `json:"name"`
		Service    string `json:"service_uuid"`
		Host       string `json:"host"`
		Identifier string `json:"auth_identifier"`
		AuthType   string `json:"auth_type"`
		// User is what the service reads. Of a binding that was changed it has written UniqueKey, too, which it does not read.
		User      string `json:"uniquekey"`
		UniqueKey string `json:"unique_key"`
		Created   Time   `json:"created_on"`
		Updated   Time   `json:"updated_on"`
		LastAuth  string `json:"last_auth"`
	}
)
