module artesian/examples/thumbnail

go 1.26.0

require github.com/aws/aws-lambda-go v1.55.1

require golang.org/x/image v0.47.0
