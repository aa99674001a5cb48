package insights

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"artesian/internal/faas"
	"artesian/internal/observe/logs"
)

// Bounds of what runs and is kept, of all accounts together.
const (
	maxRunning  = 8
	maxOfOne    = 6           // of them, of one account
	maxTime     = time.Minute // of one query
	maxFinished = 200         // queries whose answers are kept; the oldest go first
	maxAnswers  = 64 << 20    // bytes of them, by estimate
	pageEvents  = 10_000      // read at once
)

// Status is where a query stands.
type Status string

// The states of a query.
const (
	Running   Status = "Running"
	Complete  Status = "Complete"
	Failed    Status = "Failed"
	Cancelled Status = "Cancelled"
	Timeout   Status = "Timeout"
)

// Job is a query to run.
type Job struct {
	Scope    faas.Scope
	Groups   []string // names; each exists
	From, To int64    // ms since 1970, both included
	Text     string
	Query    *Query
	Limit    int    // rows at most; 0 is MaxRows
	Owner    string // ARN of who asked
}

// State is a query with its answer.
type State struct {
	ID       string
	Job      Job
	Status   Status
	Created  time.Time
	Took     time.Duration
	Rows     [][]Field // when Complete
	Scanned  int64     // events
	Bytes    int64     // of them
	Matched  int64     // events that passed all filters
	finished bool
	size     int
	stop     context.CancelFunc
}

// Log is where events are read.
type Log interface {
	Filter(ctx context.Context, id logs.GroupID, q logs.Query) (logs.Page, error)
}

// Runner runs queries in the background and keeps their answers in memory. It is safe for concurrent use.
type Runner struct {
	log    Log
	now    func() time.Time
	logger *slog.Logger
	life   context.Context
	cut    context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	running int
	all     map[string]*State
	order   []*State // oldest first
}

// NewRunner returns a runner. Close it before the log.
func NewRunner(log Log, now func() time.Time, logger *slog.Logger) *Runner {
	r := &Runner{log: log, now: now, logger: logger, all: map[string]*State{}}
	r.life, r.cut = context.WithCancel(context.Background())
	return r
}

// Close ends the queries that run.
func (r *Runner) Close() {
	r.cut()
	r.work.Wait()
}

// Start begins a query and returns its id. LimitExceeded: too many run.
func (r *Runner) Start(j Job) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.life.Err() != nil {
		return "", faas.Errorf(faas.Unavailable, "the platform is shutting down")
	}
	if r.running >= maxRunning {
		return "", faas.Errorf(faas.LimitExceeded, "%d queries run already; wait for one to end, or stop one", maxRunning)
	}
	own := 0
	for _, s := range r.order {
		if !s.finished && s.Job.Scope.Account == j.Scope.Account {
			own++
		}
	}
	if own >= maxOfOne {
		return "", faas.Errorf(faas.LimitExceeded, "%d queries of this account run already; wait for one to end, or stop one", own)
	}
	ctx, stop := context.WithTimeout(r.life, maxTime)
	s := &State{ID: faas.NewUUID(), Job: j, Status: Running, Created: r.now(), stop: stop}
	r.all[s.ID], r.order = s, append(r.order, s)
	r.running++
	r.forget()
	r.work.Go(func() {
		defer stop()
		r.run(ctx, s)
	})
	return s.ID, nil
}

// forget drops the oldest answers that are too many. mu is held.
func (r *Runner) forget() {
	finished, size := 0, 0
	for i, s := range slices.Backward(r.order) {
		if !s.finished {
			continue
		}
		finished++
		if size += s.size; finished > maxFinished || size > maxAnswers {
			delete(r.all, s.ID)
			r.order = slices.Delete(r.order, i, i+1)
		}
	}
}

// Get returns a query of a scope. NotFound: there is none, or no more.
func (r *Runner) Get(scope faas.Scope, id string) (State, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.all[id]
	if !ok || s.Job.Scope != scope {
		return State{}, faas.Errorf(faas.NotFound, "The query %.64q does not exist.", id)
	}
	out := *s
	if !s.finished {
		out.Took = r.now().Sub(s.Created)
	}
	return out, nil
}

// Stop ends a query, and reports whether it ran. Its state is Cancelled when Stop returns.
func (r *Runner) Stop(scope faas.Scope, id string) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.all[id]
	if !ok || s.Job.Scope != scope {
		return false, faas.Errorf(faas.NotFound, "The query %.64q does not exist.", id)
	}
	if s.finished {
		return false, nil
	}
	s.Status = Cancelled
	s.stop()
	return true, nil
}

// List returns the queries of a scope, newest first.
func (r *Runner) List(scope faas.Scope) []State {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []State
	for _, s := range slices.Backward(r.order) {
		if s.Job.Scope == scope {
			out = append(out, *s)
		}
	}
	return out
}

// run reads the groups and hands their events through the commands.
func (r *Runner) run(ctx context.Context, s *State) {
	rows, err := r.rows(ctx, s)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running--
	s.finished, s.Took = true, r.now().Sub(s.Created)
	switch {
	case s.Status == Cancelled:
	case err == nil:
		s.Status, s.Rows = Complete, rows
		for _, row := range rows {
			for _, f := range row {
				s.size += len(f.Value) + 64
			}
		}
		r.forget()
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		s.Status = Timeout
	default:
		s.Status = Failed
		r.logger.Warn("log query failed", "query", s.ID, "error", err)
	}
}

func (r *Runner) rows(ctx context.Context, s *State) ([][]Field, error) {
	x := &execution{}
	a := &answer{q: s.Job.Query, x: x, most: cmp.Or(s.Job.Limit, MaxRows)}
	first := s.Job.Query.chain(a, x, func() {
		r.mu.Lock()
		s.Matched++
		r.mu.Unlock()
	})
	for _, name := range s.Job.Groups {
		id := logs.GroupID{Scope: s.Job.Scope, Name: name}
		if err := r.read(ctx, s, id, first); err != nil {
			return nil, err
		}
	}
	return a.rows, first.finish()
}

// chain builds the stages. matched is told of each event that reaches statistics, order or the answer.
func (q *Query) chain(last stage, x *execution, matched func()) stage {
	next, told := last, false
	for i := len(q.commands) - 1; i >= 0; i-- {
		next = q.commands[i].build(next, x)
		before := !slices.ContainsFunc(q.commands[:i], func(c command) bool { return c.name == "stats" || c.name == "sort" })
		if c := q.commands[i].name; !told && before && (c == "stats" || c == "sort") {
			next, told = &counting{next, matched}, true
		}
	}
	return next
}

type counting struct {
	stage
	tell func()
}

func (c *counting) push(r *row) error {
	c.tell()
	return c.stage.push(r)
}

// read hands the events of one group to a stage.
func (r *Runner) read(ctx context.Context, s *State, id logs.GroupID, to stage) error {
	q := logs.Query{From: s.Job.From, To: s.Job.To, Limit: pageEvents}
	for {
		page, err := r.log.Filter(ctx, id, q)
		if err != nil {
			return err
		}
		size := 0
		for i := range page.Events {
			size += len(page.Events[i].Message)
			if err := to.push(&row{event: &page.Events[i], group: id}); err != nil {
				return err
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		r.mu.Lock()
		s.Scanned += int64(len(page.Events))
		s.Bytes += int64(size)
		r.mu.Unlock()
		if page.Token == "" {
			return ctx.Err()
		}
		q.Token = page.Token
	}
}
