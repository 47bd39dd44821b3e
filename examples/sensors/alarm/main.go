// Command alarm is a Lambda function as it is for Amazon: it is given each reading
// that is too high, as a rule of AWS IoT would give it.
package main

import (
	"fmt"

	"github.com/aws/aws-lambda-go/lambda"
)

func main() { lambda.Start(handle) }

// A reading is what a sensor has measured.
type reading struct {
	Sensor  string  `json:"sensor"`
	Celsius float64 `json:"celsius"`
}

// handle is where a real one would wake somebody up.
func handle(r reading) (map[string]string, error) {
	text := fmt.Sprintf("%s has %.1f °C", r.Sensor, r.Celsius)
	fmt.Println(text)
	return map[string]string{"alarm": text}, nil
}
