package container

// stake is one image's part in the disk, in bytes.
type stake struct {
	full  int64 // what its files may take at most
	fixed int64 // what the file system needs for itself, beside them
	used  int64 // by files
	grown int64 // what the image takes of the disk
	bound bool  // what its files may take can be set
	shelf bool  // nobody can write to it yet: it counts once somebody can
}

// promise is what the disk must keep for the image to grow to if its files may take so much. The file system may need a little more
// than they do, for lists of their blocks.
func (s stake) promise(allowed int64) int64 {
	if s.shelf {
		return max(0, shelfClaim-s.grown)
	}
	return max(0, allowed+allowed/128+s.fixed-s.grown)
}

// keptBack of what images may take is for sandboxes to come, as long as those that are there can grow by leastFirst.
const keptBack = 4

// allot says how much the files of each image may take, of a disk with so much to spare: all may grow by the same, unless all can
// have all that they are to have at most.
func allot(stakes []stake, spare int64) (allowed []int64, growth int64) {
	var most int64
	for _, s := range stakes {
		most = max(most, s.full)
	}
	if growth = most; promised(stakes, most) > spare {
		growth = max(growthWithin(stakes, most, spare-spare/keptBack), growthWithin(stakes, min(most, leastFirst), spare))
	}
	for _, s := range stakes {
		allowed = append(allowed, s.may(growth))
	}
	return allowed, growth
}

// promised is what the disk must keep if all may grow by so much.
func promised(stakes []stake, growth int64) (all int64) {
	for _, s := range stakes {
		all += s.promise(s.may(growth))
	}
	return all
}

// growthWithin is the largest growth, most at most, for which so much is enough; zero if nothing is.
func growthWithin(stakes []stake, most, enough int64) int64 {
	low, high := int64(0), most
	if promised(stakes, most) <= enough {
		return most
	}
	for high-low > blockSize {
		if mid := low + (high-low)/2; promised(stakes, mid) <= enough {
			low = mid
		} else {
			high = mid
		}
	}
	return low
}

// may is what files may take that may grow by so much.
func (s stake) may(growth int64) int64 {
	if !s.bound {
		return s.full
	}
	return min(s.full, s.used+growth)
}
