package main

import (
	"context"
	"fmt"
	"net/url"
	"os"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/notification"
)

// setUp makes the bucket and, where S3_NOTIFY_TARGET names a webhook of the server,
// has that tell sluice of what happens in it. It may run again and again.
func setUp(ctx context.Context) error {
	set, err := settings("S3_ENDPOINT", "S3_KEY", "S3_SECRET", "S3_BUCKET")
	if err != nil {
		return err
	}
	endpoint, err := url.Parse(set["S3_ENDPOINT"])
	if err != nil || endpoint.Host == "" {
		return fmt.Errorf("S3_ENDPOINT %q: write a URL such as http://minio:9000", set["S3_ENDPOINT"])
	}
	client, err := minio.New(endpoint.Host, &minio.Options{
		Creds: credentials.NewStaticV4(set["S3_KEY"], set["S3_SECRET"], ""), Secure: endpoint.Scheme == "https",
	})
	if err != nil {
		return err
	}
	bucket := set["S3_BUCKET"]
	if err := makeBucket(ctx, client, bucket); err != nil {
		return fmt.Errorf("the bucket %q: %w", bucket, err)
	}
	fmt.Printf("the bucket %q is there\n", bucket)
	webhook := os.Getenv("S3_NOTIFY_TARGET")
	if webhook == "" {
		return nil
	}
	if err := client.SetBucketNotification(ctx, bucket, notify(webhook)); err != nil {
		return fmt.Errorf("the notifications of the bucket %q: %w", bucket, err)
	}
	fmt.Printf("it notifies %s\n", webhook)
	return nil
}

func makeBucket(ctx context.Context, client *minio.Client, bucket string) error {
	exists, err := client.BucketExists(ctx, bucket)
	if err != nil || exists {
		return err
	}
	return client.MakeBucket(ctx, bucket, minio.MakeBucketOptions{})
}

// notify sends what is created and removed to MinIO's webhook of that name.
func notify(webhook string) notification.Configuration {
	target := notification.NewConfig(notification.NewArn("minio", "sqs", "", webhook, "webhook"))
	target.AddEvents(notification.ObjectCreatedAll, notification.ObjectRemovedAll)
	var all notification.Configuration
	all.AddQueue(target)
	return all
}
