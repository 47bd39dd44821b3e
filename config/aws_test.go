package config

import (
	"strings"
	"testing"
)

func TestAWSValidate(t *testing.T) {
	key, secret := NewSecret("AKIAEXAMPLE"), NewSecret("hidden/hidden")
	for name, c := range map[string]struct {
		aws  AWS
		want string // a part of the error; empty for none
	}{
		"nothing: the environment is asked": {AWS{}, ""},
		"keys and a region":                 {AWS{Region: "eu-central-1", AccessKey: key, SecretKey: secret}, ""},
		"keys and an endpoint":              {AWS{Endpoint: "http://127.0.0.1:4100/x", AccessKey: key, SecretKey: secret}, ""},
		"temporary keys":                    {AWS{Region: "eu-central-1", AccessKey: key, SecretKey: secret, SessionToken: secret}, ""},
		"a role":                            {AWS{AssumeRole: &AWSRole{ARN: "arn:aws:iam::123456789012:role/a/reader"}}, ""},
		"keys alone":                        {AWS{AccessKey: key, SecretKey: secret}, "region: it is missing"},
		"half a pair":                       {AWS{Region: "r", AccessKey: key}, "secret_key: it is missing"},
		"the other half":                    {AWS{Region: "r", SecretKey: secret}, "access_key: it is missing"},
		"a token alone":                     {AWS{SessionToken: secret}, "session_token: it goes with"},
		"a line end in a key":               {AWS{Region: "r", AccessKey: NewSecret("hidden\n"), SecretKey: secret}, "access_key: there is a space"},
		"no region":                         {AWS{Region: "eu central"}, "region: \"eu central\" is no region"},
		"no URL":                            {AWS{Endpoint: "127.0.0.1:4100"}, "endpoint: it is no http or https URL"},
		"a user in the URL":                 {AWS{Endpoint: "http://u:hidden@h"}, "endpoint: there is a user"},
		"a query in the URL":                {AWS{Endpoint: "http://h/?a=b"}, "endpoint: there is more"},
		"no role":                           {AWS{AssumeRole: &AWSRole{ARN: "reader"}}, "assume_role.arn: \"reader\" is no role"},
		"no session":                        {AWS{AssumeRole: &AWSRole{ARN: "arn:aws:iam::1:role/r", SessionName: "a b"}}, "assume_role.session_name"},
		"no URL of STS":                     {AWS{AssumeRole: &AWSRole{ARN: "arn:aws:iam::1:role/r", Endpoint: "sts"}}, "assume_role.endpoint"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.aws.Validate()
			switch {
			case c.want == "" && err != nil:
				t.Fatal(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Fatalf("got %v, want %q in it", err, c.want)
			case err != nil && strings.Contains(err.Error(), "hidden"):
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}
