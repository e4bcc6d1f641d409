import { type RefObject, useLayoutEffect, useRef, useState } from 'react'

/** The width of an element, in CSS pixels, as it changes; 0 before it is known. */
export const useWidth = <Frame extends Element>(): [RefObject<Frame | null>, number] => {
  const frame = useRef<Frame>(null)
  const [width, setWidth] = useState(0)
  useLayoutEffect(() => {
    const element = frame.current
    if (element === null) return
    const measure = (): void => setWidth(Math.floor(element.clientWidth))
    measure()
    const observer = new ResizeObserver(measure)
    observer.observe(element)
    return () => observer.disconnect()
  }, [])
  return [frame, width]
}
