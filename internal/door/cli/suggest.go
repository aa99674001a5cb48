package cli

import (
	"context"
	"fmt"
)

// notThere says that a function does not exist and what to do about it; the daemon's answer is behind it.
type notThere struct {
	message string
	answer  error
}

func (e *notThere) Error() string { return e.message }
func (e *notThere) Unwrap() error { return e.answer }

// suggest turns "no such function" into a sentence with the nearest name there is; other errors stay as they are.
func (c *client) suggest(ctx context.Context, name string, err error) error {
	if !isCode(err, "ResourceNotFoundException") {
		return err
	}
	all, lerr := c.functions(ctx)
	if lerr != nil {
		return err
	}
	names := make([]string, len(all))
	for i, f := range all {
		names[i] = f.FunctionName
	}
	message := fmt.Sprintf("there is no function %q in %s", name, c.region)
	if near := nearest(name, names); near != "" {
		message += fmt.Sprintf("; did you mean %s?", near)
	} else if len(all) == 0 {
		message += "; there are none yet: artesian deploy DIR makes one"
	} else {
		message += "; artesian functions lists those that there are"
	}
	return &notThere{message, err}
}

// nearest returns the candidate with the fewest edits to name, if they are few enough for a typing error.
func nearest(name string, candidates []string) string {
	best, fewest := "", max(2, len(name)/3)+1
	for _, c := range candidates {
		if d := distance(name, c); d < fewest {
			best, fewest = c, d
		}
	}
	return best
}

// distance counts insertions, deletions, substitutions and swaps of neighbours (optimal string alignment) in bytes.
func distance(a, b string) int {
	var before, last []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
