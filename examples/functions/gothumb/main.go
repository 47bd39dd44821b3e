// Command gothumb is a Lambda function as it is for Amazon: it makes a
// thumbnail of each picture that an S3 event names, and puts it into the bucket
// "thumbs".
package main

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"net/http"
	"net/url"
	"os"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

const (
	width  = 64
	height = 64
)

func main() { lambda.Start(handle) }

func handle(ctx context.Context, event events.S3Event) ([]string, error) {
	var made []string
	for i := range event.Records {
		bucket, key := event.Records[i].S3.Bucket.Name, event.Records[i].S3.Object.URLDecodedKey
		picture, err := read(ctx, object(bucket, key))
		if err != nil {
			return made, err
		}
		var out bytes.Buffer
		if err := png.Encode(&out, shrink(picture)); err != nil {
			return made, err
		}
		thumbnail := object("thumbs", "go/"+key)
		if err := write(ctx, thumbnail, &out); err != nil {
			return made, err
		}
		fmt.Println("a thumbnail of", key)
		made = append(made, thumbnail)
	}
	return made, nil
}

// object is the URL of an object; a key may have any characters.
func object(bucket, key string) string {
	return os.Getenv("BUCKETS") + (&url.URL{Path: "/" + bucket + "/" + key}).EscapedPath()
}

func read(ctx context.Context, from string) (image.Image, error) {
	body, err := ask(ctx, http.MethodGet, from, http.NoBody)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	picture, _, err := image.Decode(body)
	return picture, err
}

func write(ctx context.Context, to string, data io.Reader) error {
	body, err := ask(ctx, http.MethodPut, to, data)
	if err != nil {
		return err
	}
	return body.Close()
}

func ask(ctx context.Context, method, at string, body io.Reader) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, method, at, body)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		_ = answer.Body.Close()
		return nil, fmt.Errorf("%s %s: %s", method, at, answer.Status)
	}
	return answer.Body, nil
}

// shrink takes the nearest pixel for each of the thumbnail.
func shrink(picture image.Image) image.Image {
	from, small := picture.Bounds(), image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			pixel := picture.At(from.Min.X+x*from.Dx()/width, from.Min.Y+y*from.Dy()/height)
			small.Set(x, y, color.NRGBAModel.Convert(pixel))
		}
	}
	return small
}
